// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/decoder.h"

#include <algorithm>
#include <utility>

#include "longwave/text/byte_level.h"
#include "longwave/text/spelling.h"

namespace longwave::text {
namespace {

/// Marks of a blank: tokens at the beginning of a text have none, or lose theirs.
enum class Marks : uint8_t { kShown, kDropped };

/// The token with a blank before it, unless it goes on with the word before.
std::string after_others(const DecodeSpec& spec, std::string token) {
  const bool goes_on = !spec.continuation.empty() && token.starts_with(spec.continuation);
  return goes_on ? token.substr(spec.continuation.size()) : " " + token;
}

std::string spelling(const DecodeSpec& spec, std::string token, Marks marks, size_t limit) {
  if (spec.between == DecodeSpec::Between::kBlank) {
    if (marks == Marks::kShown) token = after_others(spec, std::move(token));
  } else if (marks == Marks::kDropped) {
    token = substituted(token, {spec.mark, ""}, limit);
  }
  for (const Substitute& substitute : spec.substitutes) {
    token = substituted(token, substitute, limit);
  }
  if (spec.bytes == DecodeSpec::Bytes::kNamed) {
    if (const auto byte = named_byte(token)) return {*byte};
  }
  if (spec.bytes == DecodeSpec::Bytes::kCharacters) {
    return bytes_of_characters(token).value_or(token);
  }
  return token;
}

std::string spelling_of_piece(const TokenizerSpec& spec, size_t id, Marks marks, size_t limit) {
  using Type = PieceModel::Type;
  std::string_view text = *spec.tokens[id];
  const Type type = spec.pieces->pieces[id].type;
  if (type == Type::kByte) return {named_byte(text).value_or('?')};
  if (type == Type::kUnknown) return spec.decode.unknown_text;
  if (type == Type::kControl) return std::string(text);
  if (marks == Marks::kDropped && text.starts_with(kBlankMark)) {
    text.remove_prefix(std::string_view(kBlankMark).size());
  }
  return substituted(text, {kBlankMark, " "}, limit);
}

/// What a token is shown as, in so many bytes at most.
std::string spelling(const TokenizerSpec& spec, size_t id, Marks marks, size_t limit) {
  if (!spec.tokens[id]) return {};
  if (spec.pieces) return spelling_of_piece(spec, id, marks, limit);
  return spelling(spec.decode, *spec.tokens[id], marks, limit);
}

}  // namespace

Decoder::Decoder(const TokenizerSpec& spec)
    : leading_(spec.decode.leading), blanks_(spec.decode.blanks) {
  const bool first_differ = leading_ == DecodeSpec::Leading::kFirstToken ||
                            leading_ == DecodeSpec::Leading::kFirstVisible;
  size_t bytes = 0;
  for (const auto& token : spec.tokens) bytes += token ? token->size() : 0;
  size_t room = growth_limit(bytes);
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    spelt_.push_back(spelling(spec, id, Marks::kShown, room));
    room -= std::min(room, spelt_.back().size());
    if (first_differ) first_.push_back(spelling(spec, id, Marks::kDropped, room));
  }
}

void Decoder::append(int64_t id, Position& position, std::string& text) const {
  const std::string_view bytes = spelt(id);
  if (position.place == Place::kMiddle || leading_ == DecodeSpec::Leading::kKept) {
    text += bytes;
    return;
  }
  if (leading_ != DecodeSpec::Leading::kBlanks) {
    const std::string& first = first_[static_cast<size_t>(id)];
    text += first;
    const bool goes_on = leading_ == DecodeSpec::Leading::kFirstVisible && first.empty();
    if (!goes_on) position.place = Place::kMiddle;
    return;
  }
  const size_t found = std::min(bytes.find_first_not_of(' '), bytes.size());
  const size_t dropped = std::min(found, static_cast<size_t>(blanks_ - position.blanks_dropped));
  position.blanks_dropped += static_cast<int64_t>(dropped);
  if (dropped < bytes.size() || position.blanks_dropped == blanks_) {
    position.place = Place::kMiddle;
  }
  text += bytes.substr(dropped);
}

}  // namespace longwave::text
