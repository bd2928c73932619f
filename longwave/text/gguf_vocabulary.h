// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "longwave/io/gguf.h"
#include "longwave/text/tokenizer.h"

/// The vocabulary inside GGUF files, as llama.cpp writes it: merges of bytes ("gpt2"), and pieces
/// of SentencePiece ("llama", "t5").
namespace longwave::text {

/// The tokenizer that the metadata describe: tokenizer.huggingface.json, which says all of it, or
/// else tokens with their types, and merges and the cut into words that tokenizer.ggml.pre names,
/// or scores. The tokens that begin and end texts are those of the metadata. None if the file has
/// no vocabulary.
///
/// Errors     DataError for other kinds of tokenizers, an unknown cut, or what contradicts itself.
std::optional<Tokenizer> tokenizer_of_gguf(const io::GgufMetadata& metadata,
                                           std::string_view where);

/// Adds the vocabulary, and tokenizer.json where the tokenizer is one. Ids up to `vocabulary` that
/// the tokenizer does not use are filled up, as llama.cpp does. A cut into words that llama.cpp has
/// no name for is left out, so that it warns.
///
/// Errors     InvalidArgument if the tokenizer has more tokens than that.
void add_vocabulary(const Tokenizer& tokenizer, int64_t vocabulary, io::GgufMetadata& metadata);

}  // namespace longwave::text
