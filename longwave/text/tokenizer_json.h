// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// What the text of a tokenizer.json says.
///
/// Supported: models BPE over bytes or characters, with merges as text or as pairs, Unigram,
/// WordPiece and WordLevel; normalisers BertNormalizer, ByteLevel, NFC, NFD, NFKC, NFKD, Lowercase,
/// Nmt, Precompiled, Prepend, Replace, Strip, StripAccents; pre-tokenizers BertPreTokenizer,
/// ByteLevel, CharDelimiterSplit, Digits, FixedLength, Metaspace, Punctuation, Split, Whitespace,
/// WhitespaceSplit; decoders ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip, WordPiece,
/// or none; sequences of these; added tokens with all they may ask of what stands
/// around them; post-processors ByteLevel, BertProcessing, RobertaProcessing and templates of
/// special tokens around a text. Everything else that would change the result is refused by its
/// name.
///
/// Errors     DataError.
TokenizerSpec parse_tokenizer(std::string_view json, std::string_view where);

/// What GPT-2's files say: a JSON object of tokens, and a merge a line.
TokenizerSpec parse_gpt2_files(std::string_view vocabulary, std::string_view merges,
                               std::string_view where);

/// A tokenizer.json, which `parse_tokenizer` and the tokenizers of Hugging Face read, for a model
/// of bytes that is not normalised and cut by patterns alone.
std::string format_tokenizer(const TokenizerSpec& spec);

}  // namespace longwave::text
