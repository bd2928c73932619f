// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "longwave/text/word_model.h"

namespace longwave::text {

/// The two algorithms of SentencePiece, for a tokenizer that has pieces. The whole text is a word.
///
/// Source     google/sentencepiece, bpe_model.cc; for unigram see best_pieces.h.
/// Cost       merging: n log n for n characters.
std::unique_ptr<const WordModel> make_merging_pieces(const TokenizerSpec& spec,
                                                     std::string_view where);
std::unique_ptr<const WordModel> make_unigram(const TokenizerSpec& spec, std::string_view where);

}  // namespace longwave::text
