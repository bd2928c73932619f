// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "longwave/text/tokenizer.h"

namespace longwave::text {

/// What the text of a tokenizer.json says.
///
/// Supported: model BPE over bytes, with merges as text or as pairs; normaliser none or NFC;
/// pre-tokenizers ByteLevel, Split by pattern into isolated pieces, Digits, and sequences of these;
/// decoder ByteLevel; added tokens; post-processors ByteLevel and templates that put special tokens
/// before a text. Everything else that would change the result is refused by its
/// name.
///
/// Errors     DataError.
TokenizerSpec parse_tokenizer(std::string_view json, std::string_view where);

/// What GPT-2's files say: a JSON object of tokens, and a merge a line.
TokenizerSpec parse_gpt2_files(std::string_view vocabulary, std::string_view merges,
                               std::string_view where);

/// A tokenizer.json, which `parse_tokenizer` and the tokenizers of Hugging Face read.
std::string format_tokenizer(const TokenizerSpec& spec);

}  // namespace longwave::text
