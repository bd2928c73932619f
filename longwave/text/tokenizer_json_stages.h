// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unordered_map>

#include "longwave/text/json_reader.h"
#include "longwave/text/tokenizer_spec.h"

/// The stages of a tokenizer.json, each read into its part of the specification. What would change
/// the result and is not known is refused by its name.
namespace longwave::text {

using Vocabulary = std::unordered_map<std::string, int32_t>;

/// Where Metaspace puts a mark before a word that has none.
enum class PrependScheme : uint8_t { kAlways, kFirst, kNever };

/// What Metaspace, as pre-tokenizer and decoder, is made of.
PrependScheme read_prepend_scheme(const JsonReader& reader, const nlohmann::json& json,
                                  const std::string& place);
std::string read_mark(const JsonReader& reader, const nlohmann::json& json,
                      const std::string& place);

/// "pattern": a regular expression, or a text that stands for itself.
std::string read_pattern(const JsonReader& reader, const nlohmann::json& json,
                         const std::string& place);

/// BertNormalizer, ByteLevel, NFC, NFD, NFKC, NFKD, Lowercase, Nmt, Precompiled, Prepend, Replace,
/// Strip, StripAccents, and sequences of these.
void read_normaliser(const JsonReader& reader, const nlohmann::json& json, TokenizerSpec& spec);

/// BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, FixedLength, Metaspace, Punctuation,
/// Split, Whitespace, WhitespaceSplit, and sequences of these; whether the model works on bytes or
/// characters.
void read_pre_tokenizer(const JsonReader& reader, const nlohmann::json& json, TokenizerSpec& spec);

/// BPE, for the alphabet that the pre-tokenizer says, Unigram, WordLevel and WordPiece.
void read_model(const JsonReader& reader, const nlohmann::json& json, TokenizerSpec& spec);

/// An object of tokens.
Vocabulary read_vocabulary(const JsonReader& reader, const nlohmann::json& json,
                           TokenizerSpec& spec);

/// The merge of a line "left right".
Merge merge_of(const JsonReader& reader, const Vocabulary& vocabulary, const std::string& line);

/// Tokens that stand in the text as they are.
void read_added(const JsonReader& reader, const nlohmann::json& json, TokenizerSpec& spec);

/// ByteLevel, Metaspace, WordPiece, sequences of Replace, ByteFallback, Fuse and Strip, or none:
/// then tokens of characters have blanks between them.
void read_decoder(const JsonReader& reader, const nlohmann::json& json, TokenizerSpec& spec);

/// BertProcessing, ByteLevel, RobertaProcessing and TemplateProcessing, alone or one after the
/// other.
void read_post_processor(const JsonReader& reader, const nlohmann::json& json, TokenizerSpec& spec);

}  // namespace longwave::text
