// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "longwave/text/word_model.h"

namespace longwave::text {

/// The Unigram model of a tokenizer.json: neighbours that are unknown are one part, which becomes
/// the piece of that spelling, or its bytes, or the unknown piece.
///
/// Source     huggingface/tokenizers, models/unigram/model.rs.
std::unique_ptr<const WordModel> make_unigram_words(const TokenizerSpec& spec,
                                                    std::string_view where);

}  // namespace longwave::text
