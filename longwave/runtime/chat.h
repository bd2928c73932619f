// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "longwave/runtime/generate.h"
#include "longwave/text/chat_template.h"

namespace longwave::runtime {

/// A model that talks, loaded.
struct ChatModel {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  /// What conversations look like; without one, what is said is continued as plain text.
  std::optional<text::ChatTemplate> chat_template;
  /// Guesses ahead, see Speculator; or none. What the model says is its own.
  std::shared_ptr<const Model> draft = nullptr;
  /// How states are kept, see Session; with a draft only float32 will do.
  StateForm form = StateForm::kFloat32;

  /// `context` as for Model::load. DataError if the model has no tokenizer.
  static ChatModel load(const std::filesystem::path& path, int64_t context = 0);
};

/// A conversation with a model: each answer goes on from the state after what was said before,
/// which is not read again. A value: copy it to fork the conversation.
///
/// The state before each turn is kept, in the model's form, as long as all of them fit into 256
/// MiB; going back to one of those is bitwise. Going back further reads the conversation again, as
/// a draft does after every way back.
///
/// An answer that fills the context ends with Generation::End::kContext and is part of the
/// conversation, which can be saved and rewound.
///
/// Errors     as generate; DataError where the template refuses the messages; InvalidArgument where
///            a question does not fit the context. The conversation is as it was then.
/// Threads    one owner at a time.
class Chat {
 public:
  /// `system` says how the model shall answer; nothing if empty.
  explicit Chat(ChatModel model, std::string system = {});

  /// Says `text` and lets the model answer, shown through the sink as it comes. The answer becomes
  /// part of the conversation, also if the sink ended it.
  Generation say(const std::string& text, const GenerateOptions& options, const TokenSink& sink);

  /// A second conversation that goes on from here.
  Chat fork() const;

  /// Takes the last `turns` questions and their answers back.
  ///
  /// Errors     InvalidArgument if there are fewer.
  void rewind(int64_t turns);

  /// Back to the beginning.
  void reset() { rewind(turns()); }

  int64_t turns() const { return static_cast<int64_t>(turns_.size()); }
  const std::vector<text::Message>& messages() const { return messages_; }
  const Session& session() const { return *session_; }

  /// Writes the state to `path` and the conversation to `path`.json, each atomically.
  void save(const std::filesystem::path& path) const;

  /// Goes on from what `save` wrote.
  ///
  /// Errors     IoError; DataError if a file is damaged or they don't belong together;
  ///            InvalidArgument if they are another model's. Nothing is changed then.
  void load(const std::filesystem::path& path);

 private:
  /// Where the conversation stood before a question.
  struct Turn {
    size_t messages = 0;               ///< how many there were
    std::string fed;                   ///< all text that the session had read
    std::optional<PackedState> state;  ///< after that; dropped when memory is short
  };

  std::string text_with(const std::string& said) const;
  std::vector<int64_t> unread(const std::string& whole);
  std::vector<int64_t> tokens_after(const std::string& whole, size_t read) const;
  void check_room(size_t tokens) const;
  Session* draft_here(size_t more);
  void hear(const std::string& whole, const Generation& answer, Session* draft);
  void make_room();

  ChatModel model_;
  std::unique_ptr<Session> session_;
  size_t opening_ = 0;  ///< messages before the first question: 1 with a system's, else 0
  std::vector<text::Message> messages_;
  std::vector<Turn> turns_;
  std::string fed_;
  std::unique_ptr<Session> draft_;         ///< or none
  std::optional<std::string> draft_read_;  ///< what it has read, where that is known
};

}  // namespace longwave::runtime
