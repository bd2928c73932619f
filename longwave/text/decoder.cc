// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/decoder.h"

#include <algorithm>
#include <utility>

#include "longwave/text/spelling.h"

namespace longwave::text {
namespace {

std::string spelling(const DecodeSpec& spec, std::string token) {
  for (const Substitute& substitute : spec.substitutes) token = substituted(token, substitute);
  if (spec.bytes == DecodeSpec::Bytes::kNamed) {
    if (const auto byte = named_byte(token)) return {*byte};
  }
  return token;
}

}  // namespace

Decoder::Decoder(const TokenizerSpec& spec)
    : leading_(spec.decode.leading), blanks_(spec.decode.blanks) {
  for (const std::optional<std::string>& each : spec.tokens) {
    const std::string token = each.value_or("");
    spelt_.push_back(spelling(spec.decode, token));
    if (leading_ != DecodeSpec::Leading::kFirstToken) continue;
    first_.push_back(spelling(spec.decode, substituted(token, {spec.decode.mark, ""})));
  }
}

void Decoder::append(int64_t id, Position& position, std::string& text) const {
  const std::string_view bytes = spelt(id);
  if (position.place == Place::kMiddle || leading_ == DecodeSpec::Leading::kKept) {
    text += bytes;
    return;
  }
  if (leading_ == DecodeSpec::Leading::kFirstToken) {
    text += first_[static_cast<size_t>(id)];
    position.place = Place::kMiddle;
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
