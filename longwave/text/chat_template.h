// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace longwave::text {

/// What one side of a conversation said. Roles are those of the template: mostly "system", "user"
/// and "assistant".
struct Message {
  std::string role;
  std::string content;
  bool operator==(const Message&) const = default;
};

/// What a model was taught that conversations look like: a Jinja template.
///
/// Supported is what the templates of published models use: if, for, set, macro, expressions with
/// Python's operators, slices, filters, tests and methods of texts and dictionaries, namespace,
/// range, raise_exception, strftime_now. Everything else is refused by its name when the template
/// is read or, where only the values show it, when it is used. Templates come with models that
/// strangers made: steps, text and depth are bounded, and nothing outside can be reached.
///
/// Errors     DataError.
/// Threads    immutable: share it freely.
class ChatTemplate {
 public:
  /// `where` names the template in messages; the tokens are the text of the model's first and last
  /// token, which templates print.
  static ChatTemplate parse(std::string_view source, std::string_view where,
                            std::string bos_token = {}, std::string eos_token = {});

  /// The template in a folder's tokenizer_config.json or chat_template.jinja; nothing if there is
  /// none.
  static std::optional<ChatTemplate> load(const std::filesystem::path& folder);

  /// The text of the template that `load` reads, also of one that it would refuse.
  static std::optional<std::string> find_source(const std::filesystem::path& folder);

  /// The conversation as text, up to where the assistant's next answer begins.
  std::string render(std::span<const Message> messages) const;

  /// The conversation as text, ended after its last message.
  std::string render_closed(std::span<const Message> messages) const;

 private:
  struct Parsed;
  explicit ChatTemplate(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}

  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace longwave::text
