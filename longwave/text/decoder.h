// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// Tokens to text, one after the other.
///
/// Errors     DataError if the steps of a file would spell tokens without end.
/// Threads    const use is safe from many threads; a Position belongs to one text.
class Decoder {
 public:
  /// What the text so far means for the next token.
  struct Position {
    Place place = Place::kStart;
    int64_t blanks_dropped = 0;
  };

  Decoder() = default;
  explicit Decoder(const TokenizerSpec& spec);

  /// The bytes that the token stands for in the middle of a text; the id must be in range.
  std::string_view spelt(int64_t id) const { return spelt_[static_cast<size_t>(id)]; }

  /// Adds the bytes that the token stands for at this position.
  void append(int64_t id, Position& position, std::string& text) const;

 private:
  DecodeSpec::Leading leading_ = DecodeSpec::Leading::kKept;
  int64_t blanks_ = 0;
  std::vector<std::string> spelt_, first_;  // by id; the latter for first tokens
};

}  // namespace longwave::text
