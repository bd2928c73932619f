// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "longwave/text/tokenizer.h"

namespace longwave::text {

/// Text of tokens that come one by one: never a cut-off character, and U+FFFD for bytes that belong
/// to none.
///
/// Threads    one owner at a time; the tokenizer must outlive it.
class StreamDecoder {
 public:
  /// `place` says whether the text begins with the first token.
  explicit StreamDecoder(const Tokenizer& tokenizer, Place place = Place::kStart)
      : tokenizer_(tokenizer), position_{.place = place} {}

  /// The text that can be shown after this token, possibly none. Special tokens show nothing.
  std::string push(int64_t id);

  /// What is left at the end, for a character that was never finished.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  Decoder::Position position_;
  std::string pending_;
};

}  // namespace longwave::text
