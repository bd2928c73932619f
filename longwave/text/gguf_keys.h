// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// Keys and numbers by which llama.cpp describes vocabularies.
namespace longwave::text::gguf {

inline constexpr const char* kModel = "tokenizer.ggml.model";
inline constexpr const char* kCut = "tokenizer.ggml.pre";
inline constexpr const char* kTokens = "tokenizer.ggml.tokens";
inline constexpr const char* kTypes = "tokenizer.ggml.token_type";
inline constexpr const char* kScores = "tokenizer.ggml.scores";
inline constexpr const char* kMerges = "tokenizer.ggml.merges";
inline constexpr const char* kBegin = "tokenizer.ggml.bos_token_id";
inline constexpr const char* kEnd = "tokenizer.ggml.eos_token_id";
inline constexpr const char* kUnknownToken = "tokenizer.ggml.unknown_token_id";
inline constexpr const char* kAddBegin = "tokenizer.ggml.add_bos_token";
inline constexpr const char* kAddEnd = "tokenizer.ggml.add_eos_token";
inline constexpr const char* kBlankFirst = "tokenizer.ggml.add_space_prefix";
inline constexpr const char* kSingleBlanks = "tokenizer.ggml.remove_extra_whitespaces";
inline constexpr const char* kCharsmap = "tokenizer.ggml.precompiled_charsmap";
inline constexpr const char* kJson = "tokenizer.huggingface.json";

/// Kinds of models: bytes that are merged, pieces of SentencePiece that are merged, those of its
/// unigram models, pieces of words, and whole words, which llama.cpp does not know.
inline constexpr const char* kBytes = "gpt2";
inline constexpr const char* kMerging = "llama";
inline constexpr const char* kUnigram = "t5";
inline constexpr const char* kWordPieces = "bert";
inline constexpr const char* kWords = "longwave.words";

/// What a token is; the numbers are also SentencePiece's.
enum TokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

}  // namespace longwave::text::gguf
