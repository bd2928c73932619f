// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/chat.h"

#include <fmt/format.h>

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
    : model_(std::move(model)), session_(std::make_unique<Session>(model_.model)) {
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
      session_->restore(*turn->state);
      fed_ = turn->fed;
      break;
    }
  }
  // A template prints the tokens before the text itself.
  const bool begins = fed_.empty();
  if (!model_.chat_template && begins) return model_.tokenizer->encode_prompt(whole);
  return model_.tokenizer->encode(std::string_view(whole).substr(fed_.size()),
                                  begins ? text::Place::kStart : text::Place::kMiddle);
}

void Chat::make_room() {
  const size_t each = session_->state().values.size() * sizeof(float) + 1;
  size_t room = kStatesInMemory;
  for (auto turn = turns_.rbegin(); turn != turns_.rend(); ++turn) {
    if (room < each) turn->state.reset();
    if (turn->state) room -= each;
  }
}

Generation Chat::say(const std::string& text, const GenerateOptions& options,
                     const TokenSink& sink) {
  const Turn before{messages_.size(), fed_, session_->state()};
  try {
    const std::string whole = text_with(text);
    const std::vector<int64_t> prompt = unread(whole);
    Generation answer = generate(*session_, model_.tokenizer.get(), prompt, options, sink);
    fed_ = whole;
    std::vector<int64_t> spoken = answer.ids;
    // The token that ends an answer is the template's to print.
    if (answer.end == Generation::End::kSpecial) {
      spoken.pop_back();
    } else if (!spoken.empty()) {
      session_->step(spoken.back());
    }
    std::string spoken_text = model_.tokenizer->decode(spoken, text::Place::kMiddle);
    fed_ += spoken_text;
    messages_.push_back({"user", text});
    messages_.push_back({"assistant", std::move(spoken_text)});
    turns_.push_back(before);
    make_room();
    return answer;
  } catch (...) {
    fed_ = before.fed;
    session_->restore(*before.state);
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
    session_->restore(*to.state);
    fed_ = to.fed;
    return;
  }
  session_->reset();
  fed_.clear();
  if (to.fed.empty()) return;
  const std::vector<int64_t> tokens = model_.chat_template
                                          ? model_.tokenizer->encode(to.fed)
                                          : model_.tokenizer->encode_prompt(to.fed);
  constexpr size_t kPiece = 256;
  const std::span<const int64_t> all(tokens);
  for (size_t at = 0; at < all.size(); at += kPiece) {
    session_->prefill_last(all.subspan(at, std::min(kPiece, all.size() - at)));
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
  messages_ = std::move(messages);
  turns_ = std::move(turns);
  fed_ = std::move(fed);
  opening_ = !messages_.empty() && messages_[0].role == "system" ? 1 : 0;
}

}  // namespace longwave::runtime
