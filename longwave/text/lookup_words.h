// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "longwave/text/word_model.h"

namespace longwave::text {

/// The WordLevel and WordPiece models of a tokenizer.json. `where` names it in messages.
///
/// Source     huggingface/tokenizers, models/wordlevel and models/wordpiece.
/// Cost       WordPiece: look-ups of at most the square of a word's length, which the model limits,
///            each in time of a token's bytes.
/// Errors     `encode`: DataError for an unknown word where no token stands for one.
std::unique_ptr<const WordModel> make_lookup_words(const LookupModel& model,
                                                   std::string_view where);

}  // namespace longwave::text
