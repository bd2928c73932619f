// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/stream_decoder.h"

#include <utility>

#include "longwave/text/utf8.h"

namespace longwave::text {

std::string StreamDecoder::push(int64_t id) {
  tokenizer_.decode(id, position_, pending_);
  const size_t whole = whole_characters(pending_);
  std::string shown = showable(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return shown;
}

std::string StreamDecoder::finish() { return showable(std::exchange(pending_, {})); }

}  // namespace longwave::text
