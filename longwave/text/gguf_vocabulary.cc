// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/gguf_vocabulary.h"

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/text/byte_level.h"
#include "longwave/text/gguf_cuts.h"
#include "longwave/text/gguf_keys.h"
#include "longwave/text/json_reader.h"
#include "longwave/text/sentencepiece_file.h"
#include "longwave/text/tokenizer_json.h"

namespace longwave::text {
namespace {

using namespace gguf;

[[noreturn]] void refuse(std::string_view where, std::string what, std::string got,
                         std::string fix = {}) {
  throw DataError({.where = std::string(where),
                   .what = std::move(what),
                   .got = std::move(got),
                   .fix = std::move(fix)});
}

/// Tokens of the file by id, with their types.
struct Listed {
  const std::vector<std::string>& tokens;
  std::vector<int64_t> types;
};

Listed listed(const io::GgufMetadata& metadata, std::string_view where) {
  const auto* tokens = io::gguf_items<std::string>(metadata, kTokens);
  if (tokens == nullptr || tokens->empty() || tokens->size() > static_cast<size_t>(kMostTokens)) {
    refuse(where, std::string(kTokens) + " must be a list of texts", {});
  }
  Listed result{*tokens, std::vector<int64_t>(tokens->size(), kNormal)};
  if (const auto* types = io::gguf_items<int64_t>(metadata, kTypes)) result.types = *types;
  if (result.types.size() != tokens->size()) {
    refuse(where, std::string(kTypes) + " must be as long as the tokens",
           std::to_string(result.types.size()) + " and " + std::to_string(tokens->size()));
  }
  return result;
}

void read_tokens(const Listed& list, TokenizerSpec& spec, std::string_view where) {
  for (size_t id = 0; id < list.tokens.size(); ++id) {
    const std::string& token = list.tokens[id];
    const int64_t type = list.types[id];
    if (type == kUnused) continue;
    if (token.empty()) refuse(where, "a token is empty", "id " + std::to_string(id));
    spec.tokens.resize(id + 1);
    const bool added = type == kControl || type == kUserDefined;
    spec.tokens[id] = added ? token : bytes_of_characters(token).value_or(token);
    if (!added) continue;
    spec.added.push_back(
        {.content = token, .id = static_cast<int64_t>(id), .special = type == kControl});
  }
}

void read_merges(const io::GgufMetadata& metadata, const Listed& list, TokenizerSpec& spec,
                 std::string_view where) {
  const auto* merges = io::gguf_items<std::string>(metadata, kMerges);
  if (merges == nullptr) refuse(where, std::string(kMerges) + " is missing", {});
  std::unordered_map<std::string_view, int32_t> ids;
  for (size_t id = 0; id < list.tokens.size(); ++id) {
    if (list.types[id] == kNormal) ids.emplace(list.tokens[id], static_cast<int32_t>(id));
  }
  const auto id_of = [&](const std::string& token) {
    const auto found = ids.find(token);
    if (found == ids.end()) refuse(where, "a merge needs a token that is not there", token);
    return found->second;
  };
  for (const std::string& merge : *merges) {
    const size_t blank = merge.find(' ', 1);
    if (blank == std::string::npos) refuse(where, "a merge must be two tokens", merge);
    const std::string left = merge.substr(0, blank), right = merge.substr(blank + 1);
    spec.model.merges.push_back({id_of(left), id_of(right), id_of(left + right)});
  }
}

template <typename T>
std::optional<T> single(const io::GgufMetadata& metadata, std::string_view key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  const T* value = std::get_if<T>(&found->second.content);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

/// What the file says about the tokens around texts.
TokenSettings settings_of(const io::GgufMetadata& metadata) {
  const auto* tokens = io::gguf_items<std::string>(metadata, kTokens);
  const auto token = [&](std::string_view key) -> std::optional<std::string> {
    const auto id = single<uint64_t>(metadata, key);
    if (!id || tokens == nullptr || *id >= tokens->size()) return std::nullopt;
    return (*tokens)[*id];
  };
  TokenSettings settings{.add_begin = single<bool>(metadata, kAddBegin),
                         .add_end = single<bool>(metadata, kAddEnd),
                         .begin = token(kBegin),
                         .end = token(kEnd),
                         .ends = {}};
  // The end of a turn and of a message.
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    const auto id = single<uint64_t>(metadata, key);
    if (id && *id < static_cast<uint64_t>(kMostTokens)) {
      settings.ends.push_back(static_cast<int64_t>(*id));
    }
  }
  return settings;
}

Tokenizer merged_bytes(const io::GgufMetadata& metadata, TokenSettings settings,
                       std::string_view where) {
  const std::string* name = io::gguf_text(metadata, kCut);
  const GgufCut* cut = gguf_cut(name == nullptr ? "" : *name);
  if (cut == nullptr) {
    refuse(where, std::string(kCut) + " names a cut into words that is not known",
           "\"" + (name == nullptr ? "" : *name) + "\"",
           "give the ids of tokens, or put the model's tokenizer.json beside");
  }
  TokenizerSpec spec;
  spec.cuts = cut->steps;
  spec.model.whole = cut->whole;
  if (!settings.add_begin && cut->begin == GgufCut::Begin::kToken) settings.add_begin = true;
  const Listed list = listed(metadata, where);
  read_tokens(list, spec, where);
  read_merges(metadata, list, spec, where);
  return Tokenizer::parse(format_tokenizer(spec), where, settings);
}

/// Bytes may be listed with a sign or without.
std::string charsmap_of(const io::GgufMetadata& metadata) {
  std::string bytes;
  if (const auto* numbers = io::gguf_items<uint64_t>(metadata, kCharsmap)) {
    for (const uint64_t number : *numbers) bytes += static_cast<char>(number);
  } else if (const auto* signed_numbers = io::gguf_items<int64_t>(metadata, kCharsmap)) {
    for (const int64_t number : *signed_numbers) bytes += static_cast<char>(number);
  }
  return bytes;
}

/// The pieces become a SentencePiece model, which is what the tokenizer is kept as.
Tokenizer pieces(const io::GgufMetadata& metadata, PieceModel::Algorithm algorithm,
                 TokenSettings settings, std::string_view where) {
  const Listed list = listed(metadata, where);
  const auto* scores = io::gguf_items<double>(metadata, kScores);
  if (scores == nullptr || scores->size() != list.tokens.size()) {
    refuse(where, std::string(kScores) + " must be as long as the tokens",
           std::to_string(scores == nullptr ? 0 : scores->size()));
  }
  SentencePieceFile file;
  file.algorithm = algorithm;
  size_t used = list.tokens.size();
  while (used > 0 && list.types[used - 1] == kUnused) --used;
  int64_t bytes = 0;
  for (size_t id = 0; id < used; ++id) {
    if (list.types[id] < kNormal || list.types[id] > kByte) {
      refuse(where, "a token is of an unknown type", std::to_string(list.types[id]));
    }
    file.pieces.push_back({list.tokens[id], static_cast<float>((*scores)[id]),
                           static_cast<PieceModel::Type>(list.types[id])});
    bytes += list.types[id] == kByte ? 1 : 0;
  }
  file.byte_fallback = bytes > 0;
  file.normal = {.charsmap = charsmap_of(metadata),
                 .blank_first = single<bool>(metadata, kBlankFirst).value_or(true),
                 .single_blanks = single<bool>(metadata, kSingleBlanks).value_or(false)};
  file.begin_piece = settings.begin.value_or("");
  file.end_piece = settings.end.value_or("");
  if (!settings.add_begin) settings.add_begin = settings.begin.has_value();
  return Tokenizer::parse_pieces(format_sentencepiece(file), where, settings);
}

}  // namespace

std::optional<Tokenizer> tokenizer_of_gguf(const io::GgufMetadata& metadata,
                                           std::string_view where) {
  const std::string* model = io::gguf_text(metadata, kModel);
  if (model == nullptr || *model == "no_vocab") return std::nullopt;
  const TokenSettings settings = settings_of(metadata);
  if (const std::string* json = io::gguf_text(metadata, kJson)) {
    return Tokenizer::parse(*json, std::string(where) + " " + kJson, settings);
  }
  using Algorithm = PieceModel::Algorithm;
  if (*model == kBytes) return merged_bytes(metadata, settings, where);
  if (*model == kMerging) return pieces(metadata, Algorithm::kMerging, settings, where);
  if (*model == kUnigram) return pieces(metadata, Algorithm::kUnigram, settings, where);
  refuse(where, "tokenizers of this kind are not supported", std::string(kModel) + " " + *model,
         "give the ids of tokens");
}

}  // namespace longwave::text
