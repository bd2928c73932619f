// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/gguf_vocabulary.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/text/byte_level.h"
#include "longwave/text/tokenizer_json.h"

namespace longwave::text {
namespace {

constexpr const char* kModel = "tokenizer.ggml.model";
constexpr const char* kCut = "tokenizer.ggml.pre";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kMerges = "tokenizer.ggml.merges";
constexpr const char* kJson = "tokenizer.huggingface.json";
constexpr size_t kMostTokens = size_t{1} << 22;

/// What a token is, by llama.cpp's numbers.
enum TokenType : int64_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                               R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// How text is cut into words, by llama.cpp's names; the first of each is the one to write.
struct Cut {
  std::vector<std::string_view> names;
  std::vector<std::string> patterns;
  MergeModel::Whole whole = MergeModel::Whole::kMerge;
};
const std::vector<Cut>& cuts() {
  static const std::vector<Cut> kCuts = {
      {{"gpt-2", "mpt", "olmo", "jais", "phi-2"}, {kWordPattern}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1"},
       {kLlama3},
       MergeModel::Whole::kFirst},
      {{"qwen2"}, {kQwen2}},
      {{"starcoder", "refact", "command-r", "smollm", "codeshell"}, {R"(\p{N})", kWordPattern}}};
  return kCuts;
}

std::vector<CutStep> steps_of(const Cut& cut) {
  std::vector<CutStep> steps;
  for (const std::string& pattern : cut.patterns) steps.emplace_back(Split{pattern});
  return steps;
}

[[noreturn]] void refuse(std::string_view where, std::string what, std::string got,
                         std::string fix = {}) {
  throw DataError({.where = std::string(where),
                   .what = std::move(what),
                   .got = std::move(got),
                   .fix = std::move(fix)});
}

const Cut& cut_named(const std::string& name, std::string_view where) {
  for (const Cut& cut : cuts()) {
    if (std::ranges::find(cut.names, name) != cut.names.end()) return cut;
  }
  refuse(where, std::string(kCut) + " names a cut into words that is not known", "\"" + name + "\"",
         "give the ids of tokens, or put the model's tokenizer.json beside");
}

/// Tokens of the file by id, with their types.
struct Listed {
  const std::vector<std::string>& tokens;
  std::vector<int64_t> types;
};

Listed listed(const io::GgufMetadata& metadata, std::string_view where) {
  const auto* tokens = io::gguf_items<std::string>(metadata, kTokens);
  if (tokens == nullptr || tokens->empty() || tokens->size() > kMostTokens) {
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

/// The first of these that is an added token.
std::optional<int64_t> first_of(const Tokenizer& tokenizer,
                                std::initializer_list<const char*> contents) {
  for (const char* content : contents) {
    if (const auto id = tokenizer.added(content)) return id;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Tokenizer> tokenizer_of_gguf(const io::GgufMetadata& metadata,
                                           std::string_view where) {
  const std::string* model = io::gguf_text(metadata, kModel);
  if (model == nullptr || *model == "no_vocab") return std::nullopt;
  if (const std::string* json = io::gguf_text(metadata, kJson)) {
    return Tokenizer::parse(*json, std::string(where) + " " + kJson);
  }
  if (*model != "gpt2") {
    refuse(where, "tokenizers of this kind are not supported", std::string(kModel) + " " + *model,
           "give the ids of tokens");
  }
  const std::string* name = io::gguf_text(metadata, kCut);
  const Cut& cut = cut_named(name == nullptr ? "" : *name, where);
  TokenizerSpec spec;
  spec.cuts = steps_of(cut);
  spec.model.whole = cut.whole;
  const Listed list = listed(metadata, where);
  read_tokens(list, spec, where);
  read_merges(metadata, list, spec, where);
  return Tokenizer::parse(format_tokenizer(spec), where);
}

void add_vocabulary(const Tokenizer& tokenizer, int64_t vocabulary, io::GgufMetadata& metadata) {
  const TokenizerSpec& spec = tokenizer.spec();
  const auto size = static_cast<size_t>(vocabulary);
  if (spec.tokens.size() > size) {
    throw InvalidArgument(
        {.where = "add_vocabulary",
         .what = "the tokenizer has more tokens than the model",
         .got = std::to_string(spec.tokens.size()) + " and " + std::to_string(vocabulary),
         .fix = "use the tokenizer that the model was trained with"});
  }
  std::vector<std::string> tokens(size);
  std::vector<int64_t> types(size, kNormal);
  for (size_t id = 0; id < size; ++id) {
    const bool used = id < spec.tokens.size() && spec.tokens[id].has_value();
    tokens[id] = used ? characters_of_bytes(*spec.tokens[id]) : "[PAD" + std::to_string(id) + "]";
    if (!used) types[id] = kUnused;
  }
  for (const AddedToken& added : spec.added) {
    tokens[static_cast<size_t>(added.id)] = added.content;
    types[static_cast<size_t>(added.id)] = added.special ? kControl : kUserDefined;
  }
  std::vector<std::string> merges;
  for (const Merge& merge : spec.model.merges) {
    merges.push_back(tokens[static_cast<size_t>(merge.left)] + " " +
                     tokens[static_cast<size_t>(merge.right)]);
  }
  using io::GgufValue;
  metadata.insert_or_assign(kModel, GgufValue::text("gpt2"));
  metadata.insert_or_assign(kTokens, GgufValue::texts(std::move(tokens)));
  metadata.insert_or_assign(kTypes, GgufValue::int32s(std::move(types)));
  metadata.insert_or_assign(kMerges, GgufValue::texts(std::move(merges)));
  metadata.insert_or_assign(kJson, GgufValue::text(tokenizer.json()));
  for (const Cut& cut : cuts()) {
    if (steps_of(cut) != spec.cuts || cut.whole != spec.model.whole) continue;
    metadata.insert_or_assign(kCut, GgufValue::text(std::string(cut.names.front())));
  }
  const auto end = first_of(tokenizer, {"<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "</s>"});
  const auto begin = first_of(tokenizer, {"<|begin_of_text|>", "<s>", "<|endoftext|>"});
  const auto put = [&](const char* key, std::optional<int64_t> id) {
    if (id) metadata.insert_or_assign(key, GgufValue::uint32(static_cast<uint32_t>(*id)));
  };
  put("tokenizer.ggml.eos_token_id", end);
  put("tokenizer.ggml.bos_token_id", begin);
}

}  // namespace longwave::text
