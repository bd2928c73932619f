// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/chat.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/file.h"
#include "longwave/runtime/hash.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/text/utf8.h"

namespace longwave::runtime {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kStatesInMemory = size_t{256} << 20;
constexpr uint64_t kTranscriptLimit = uint64_t{1} << 30;
constexpr const char* kFormat = "longwave-chat";

std::filesystem::path transcript_of(const std::filesystem::path& path) {
  return path.string() + ".json";
}

/// JSON holds characters only, and a text that was cut between tokens may hold others.
std::string to_hex(const std::string& bytes) {
  std::string digits;
  for (const char byte : bytes) digits += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return digits;
}

std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

}  // namespace

ChatModel ChatModel::load(const std::filesystem::path& path, int64_t context) {
  ChatModel result;
  result.tokenizer = load_tokenizer(path);
  if (result.tokenizer == nullptr) {
    throw DataError({.where = path.string(),
                     .what = "the model has no tokenizer and cannot talk",
                     .got = {},
                     .fix = "put its tokenizer.json beside it"});
  }
  result.chat_template = load_chat_template(path);
  result.model = Model::load(path, 1, context);
  return result;
}

Chat::Chat(ChatModel model, std::string system)
    : model_(std::move(model)),
      session_(std::make_unique<Session>(model_.model, model_.form)),
      draft_(model_.draft ? std::make_unique<Session>(model_.draft) : nullptr) {
  if (!system.empty()) messages_.push_back({"system", std::move(system)});
  opening_ = messages_.size();
}

Chat Chat::fork() const {
  Chat copy(model_);
  copy.session_->restore(session_->state());
  copy.opening_ = opening_;
  copy.messages_ = messages_;
  copy.turns_ = turns_;
  copy.fed_ = fed_;
  if (draft_) copy.draft_->restore(draft_->state());
  copy.draft_read_ = draft_read_;
  return copy;
}

std::string Chat::text_with(const std::string& said) const {
  if (model_.chat_template) {
    std::vector<text::Message> messages = messages_;
    messages.push_back({"user", said});
    return model_.chat_template->render(messages);
  }
  std::string whole = fed_;
  if (fed_.empty() && opening_ > 0) whole = messages_[0].content + "\n";
  return whole + said;
}

/// The tokens of `whole` that the session has not read. A template may show earlier answers in
/// another way than they were given; the session goes back to where the texts still agree then.
std::vector<int64_t> Chat::unread(const std::string& whole) {
  if (!whole.starts_with(fed_)) {
    session_->reset();
    fed_.clear();
    for (auto turn = turns_.rbegin(); turn != turns_.rend(); ++turn) {
      if (!turn->state || !whole.starts_with(turn->fed)) continue;
      session_->restore(unpack(*turn->state));
      fed_ = turn->fed;
      break;
    }
  }
  return tokens_after(whole, fed_.size());
}

std::vector<int64_t> Chat::tokens_after(const std::string& whole, size_t read) const {
  // A template prints the tokens before the text itself.
  if (!model_.chat_template && read == 0) return model_.tokenizer->encode_prompt(whole);
  return model_.tokenizer->encode(std::string_view(whole).substr(read),
                                  read == 0 ? text::Place::kStart : text::Place::kMiddle);
}

void Chat::check_room(size_t tokens) const {
  const int64_t room = session_->steps_left();
  if (static_cast<int64_t>(tokens) <= room) return;
  throw InvalidArgument(
      {.where = "chat",
       .what = "the context is full",
       .got = fmt::format("{} tokens more, where {} have room and {} still fit", tokens,
                          session_->state().position + room, room),
       .fix = "take turns back (/rewind), begin again (/reset), or start with more (--context)"});
}

/// The draft after what the session has read, with room for `more` tokens; or none.
Session* Chat::draft_here(size_t more) {
  if (!draft_) return nullptr;
  if (!draft_read_ || !fed_.starts_with(*draft_read_)) {
    draft_->reset();
    draft_read_ = std::string();
  }
  std::vector<int64_t> behind;
  if (draft_read_->size() < fed_.size()) behind = tokens_after(fed_, draft_read_->size());
  draft_read_.reset();
  if (static_cast<int64_t>(behind.size() + more) > draft_->steps_left()) return nullptr;
  feed(*draft_, behind);
  return draft_.get();
}

void Chat::make_room() {
  size_t room = kStatesInMemory;
  for (auto turn = turns_.rbegin(); turn != turns_.rend(); ++turn) {
    if (!turn->state) continue;
    const size_t size = turn->state->bytes.size() + 1;
    room -= std::min(room, size);
    if (room == 0) turn->state.reset();
  }
}

/// Takes up what was answered to `whole`: the sessions read the rest of it.
void Chat::hear(const std::string& whole, const Generation& answer, Session* draft) {
  std::vector<int64_t> spoken = answer.ids;
  // The token that ends an answer is the template's to print.
  if (answer.end == Generation::End::kSpecial) spoken.pop_back();
  std::string text = model_.tokenizer->decode(spoken, text::Place::kMiddle);
  fed_ = whole + text;
  if (answer.end != Generation::End::kSpecial && !spoken.empty()) {
    if (session_->steps_left() > 0) {
      session_->step(spoken.back());
      if (draft != nullptr && draft->steps_left() > 0) draft->step(spoken.back());
    } else {
      spoken.pop_back();
      fed_ = whole + model_.tokenizer->decode(spoken, text::Place::kMiddle);
    }
  }
  messages_.push_back({"assistant", std::move(text)});
}

Generation Chat::say(const std::string& text, const GenerateOptions& options,
                     const TokenSink& sink) {
  const Turn before{messages_.size(), fed_, pack(session_->state())};
  try {
    const std::string whole = text_with(text);
    const std::vector<int64_t> prompt = unread(whole);
    check_room(prompt.size());
    GenerateOptions drafted = options;
    drafted.draft = draft_here(prompt.size());
    Generation answer = generate(*session_, model_.tokenizer.get(), prompt, drafted, sink);
    messages_.push_back({"user", text});
    hear(whole, answer, drafted.draft);
    if (drafted.draft != nullptr && draft_->steps_left() > 0) draft_read_ = fed_;
    turns_.push_back(before);
    make_room();
    return answer;
  } catch (...) {
    fed_ = before.fed;
    messages_.resize(before.messages);
    session_->restore(unpack(*before.state));
    draft_read_.reset();
    throw;
  }
}

void Chat::rewind(int64_t turns) {
  require(turns >= 0 && turns <= this->turns(), "chat", "there are not so many turns to take back");
  if (turns == 0) return;
  const Turn to = turns_[turns_.size() - static_cast<size_t>(turns)];
  turns_.resize(turns_.size() - static_cast<size_t>(turns));
  messages_.resize(to.messages);
  if (to.state) {
    session_->restore(unpack(*to.state));
  } else {
    session_->reset();
    if (!to.fed.empty()) feed(*session_, tokens_after(to.fed, 0));
  }
  fed_ = to.fed;
}

void Chat::save(const std::filesystem::path& path) const {
  const State& state = session_->state();
  Json messages = Json::array(), turns = Json::array();
  for (const text::Message& message : messages_) {
    const bool whole = text::showable(message.content) == message.content;
    messages.push_back(
        {{"role", message.role},
         {whole ? "content" : "bytes", whole ? message.content : to_hex(message.content)}});
  }
  for (const Turn& turn : turns_) {
    // Mostly what was read before is the beginning of what is read now.
    const bool begins = fed_.starts_with(turn.fed);
    turns.push_back({{"messages", turn.messages},
                     {"fed", begins ? Json(turn.fed.size()) : Json(to_hex(turn.fed))}});
  }
  const Json file = {{"format", kFormat},
                     {"version", 1},
                     {"fingerprint", fmt::format("{:016x}", state.fingerprint)},
                     {"state", fmt::format("{:016x}", hash_bytes(format_state(state)))},
                     {"messages", std::move(messages)},
                     {"turns", std::move(turns)},
                     {"fed", to_hex(fed_)}};
  // The conversation comes first: it is what cannot be made again.
  io::write_file_atomically(transcript_of(path),
                            file.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  save_state(path, state);
}

void Chat::load(const std::filesystem::path& path) {
  const std::filesystem::path transcript = transcript_of(path);
  const State state = load_state(path);
  const Json file = Json::parse(io::read_text(transcript, kTranscriptLimit), nullptr, false);
  const auto damaged = [&](const std::string& what) {
    throw DataError({.where = transcript.string(),
                     .what = what,
                     .got = {},
                     .fix = "load another one; the conversation goes on as it was"});
  };
  std::vector<text::Message> messages;
  std::vector<Turn> turns;
  std::string fed;
  try {
    if (file.is_discarded() || file.at("format") != kFormat || file.at("version") != 1) {
      damaged("this is no conversation that longwave chat saved");
    }
    if (file.at("state") != fmt::format("{:016x}", hash_bytes(format_state(state)))) {
      damaged("the conversation and the state beside it were not saved together");
    }
    for (const Json& each : file.at("messages")) {
      const std::string role = each.at("role");
      const bool bytes = each.contains("bytes");
      const std::string content = each.at(bytes ? "bytes" : "content");
      messages.push_back({role, bytes ? from_hex(content) : content});
    }
    fed = from_hex(file.at("fed"));
    size_t least = 0;
    for (const Json& each : file.at("turns")) {
      const size_t count = each.at("messages");
      const Json& read = each.at("fed");
      if (count < least || count > messages.size()) damaged("the turns make no sense");
      least = count;
      turns.push_back({count, read.is_string() ? from_hex(read) : fed.substr(0, read.get<size_t>()),
                       std::nullopt});
    }
  } catch (const std::logic_error&) {
    damaged("the conversation is damaged");
  } catch (const Json::exception&) {
    damaged("the conversation is damaged");
  }
  session_->restore(state);
  draft_read_.reset();
  messages_ = std::move(messages);
  turns_ = std::move(turns);
  fed_ = std::move(fed);
  opening_ = !messages_.empty() && messages_[0].role == "system" ? 1 : 0;
}

}  // namespace longwave::runtime
