// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/gguf_cuts.h"

#include <algorithm>

namespace longwave::text {
namespace {

using Begin = GgufCut::Begin;
using Sees = Split::Sees;
using Whole = MergeModel::Whole;
using Matches = Splitter::Matches;

constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
                               R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kPunctuation = R"([\p{P}$+<=>^`|~])";

const std::vector<GgufCut>& cuts() {
  static const std::vector<GgufCut> kCuts = {
      {{"gpt-2", "mpt", "olmo", "jais", "phi-2"}, {Split{kWordPattern}}},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1"},
       {Split{kLlama3}},
       Whole::kFirst,
       Begin::kToken},
      {{"dbrx", "smaug-bpe"}, {Split{kLlama3}}},
      {{"qwen2"}, {Split{kQwen2}}},
      {{"tekken"}, {Split{kTekken}}, Whole::kFirst, Begin::kToken},
      {{"starcoder", "refact", "command-r", "smollm", "codeshell"},
       {Split{R"(\p{N})"}, Split{kWordPattern}}},
      {{"falcon"},
       {Split{kPunctuation, Matches::kTogether}, Split{kWordPattern},
        Split{R"(\p{N}+)", Matches::kApart, Sees::kByteCharacters},
        Split{"[0-9][0-9][0-9]", Matches::kApart, Sees::kByteCharacters}}}};
  return kCuts;
}

}  // namespace

const GgufCut* gguf_cut(std::string_view name) {
  for (const GgufCut& cut : cuts()) {
    if (std::ranges::find(cut.names, name) != cut.names.end()) return &cut;
  }
  return nullptr;
}

const GgufCut* gguf_cut(const TokenizerSpec& spec) {
  for (const GgufCut& cut : cuts()) {
    if (cut.steps == spec.cuts && cut.whole == spec.model.whole) return &cut;
  }
  return nullptr;
}

}  // namespace longwave::text
