// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/text/tokenizer.h"

namespace longwave::text {

/// How a vocabulary is learnt.
struct BpeTraining {
  int64_t vocabulary = 4096;              ///< tokens in all: 256 bytes, merges, special ones
  int64_t least_count = 2;                ///< pairs that are rarer are not merged
  std::vector<std::string> special = {};  ///< added at the end, such as "<|endoftext|>"
};

/// Learns a byte-pair encoding: again and again merges the pair of neighbours that is most frequent
/// within words, of equals the one with the smallest ids. Tokens 0 .. 255 are the bytes.
///
/// Fewer tokens come out if the texts have no more pairs to merge.
///
/// Cost       counts are kept per distinct word and updated where a merge changes them: a second
///            for a few megabytes.
/// Errors     InvalidArgument if the vocabulary is too small for bytes and special tokens.
Tokenizer train_bpe(std::span<const std::string_view> texts, const BpeTraining& options);

}  // namespace longwave::text
