// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// What makes tokens of words.
///
/// Threads    immutable: share it freely.
class WordModel {
 public:
  virtual ~WordModel() = default;

  /// Adds the tokens of a word.
  ///
  /// Errors     DataError if the vocabulary has no token for a part of it.
  virtual void encode(std::string_view word, std::vector<int64_t>& ids) const = 0;
};

/// The model that a tokenizer has. The text of its tokens must outlive it; `where` names it in
/// messages.
std::unique_ptr<const WordModel> make_word_model(const TokenizerSpec& spec, std::string_view where);

}  // namespace longwave::text
