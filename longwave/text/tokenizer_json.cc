// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/tokenizer_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/text/byte_level.h"
#include "longwave/text/tokenizer_json_stages.h"

namespace longwave::text {
namespace {

using Json = nlohmann::json;

Json pre_tokenizer_json(const TokenizerSpec& spec) {
  const bool words = spec.cuts == std::vector<CutStep>{Split{kWordPattern}};
  Json byte_level = {{"type", "ByteLevel"},
                     {"add_prefix_space", false},
                     {"trim_offsets", true},
                     {"use_regex", words}};
  if (words || spec.cuts.empty()) return byte_level;
  Json parts = Json::array();
  for (const CutStep& step : spec.cuts) {
    parts.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", std::get<Split>(step).pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  parts.push_back(byte_level);
  return {{"type", "Sequence"}, {"pretokenizers", parts}};
}

}  // namespace

TokenizerSpec parse_tokenizer(std::string_view json, std::string_view where) {
  const JsonReader reader{std::string(where)};
  const Json file = reader.parse(json);
  const auto stage = [&](const char* key) -> const Json& {
    return reader.at(file, key, "the file");
  };
  TokenizerSpec spec;
  read_pre_tokenizer(reader, stage("pre_tokenizer"), spec);
  read_model(reader, stage("model"), spec);
  read_normaliser(reader, stage("normalizer"), spec);
  read_decoder(reader, stage("decoder"), spec);
  read_added(reader, stage("added_tokens"), spec);
  read_post_processor(reader, stage("post_processor"), spec);
  return spec;
}

TokenizerSpec parse_gpt2_files(std::string_view vocabulary, std::string_view merges,
                               std::string_view where) {
  const JsonReader reader{std::string(where)};
  TokenizerSpec spec;
  spec.cuts = {Split{kWordPattern}};
  const Vocabulary known = read_vocabulary(reader, reader.parse(vocabulary), spec);
  for (const auto& [token, id] : known) {
    if (!bytes_of_characters(token)) {
      reader.unsupported("a token that is not spelt in bytes", token);
    }
  }
  while (!merges.empty()) {
    const size_t end = std::min(merges.find('\n'), merges.size());
    std::string line(merges.substr(0, end));
    merges.remove_prefix(std::min(end + 1, merges.size()));
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty() || line.starts_with("#version")) continue;
    spec.model.merges.push_back(merge_of(reader, known, line));
  }
  const auto end = known.find("<|endoftext|>");
  if (end != known.end()) {
    spec.added.push_back({.content = end->first, .id = end->second, .special = true});
  }
  return spec;
}

std::string format_tokenizer(const TokenizerSpec& spec) {
  using Ordered = nlohmann::ordered_json;
  Ordered added = Ordered::array();
  for (const AddedToken& token : spec.added) {
    added.push_back({{"id", token.id},
                     {"content", token.content},
                     {"single_word", token.alone},
                     {"lstrip", token.takes_blanks_before},
                     {"rstrip", token.takes_blanks_after},
                     {"normalized", token.match == AddedToken::Match::kNormalised},
                     {"special", token.special}});
  }
  Ordered vocabulary = Ordered::object();
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const auto is_this = [id](const AddedToken& token) {
      return token.id == static_cast<int64_t>(id);
    };
    if (!spec.tokens[id] || std::ranges::any_of(spec.added, is_this)) continue;
    vocabulary[characters_of_bytes(*spec.tokens[id])] = id;
  }
  Ordered merges = Ordered::array();
  for (const Merge& merge : spec.model.merges) {
    merges.push_back(characters_of_bytes(*spec.tokens[static_cast<size_t>(merge.left)]) + " " +
                     characters_of_bytes(*spec.tokens[static_cast<size_t>(merge.right)]));
  }
  const Ordered file = {{"version", "1.0"},
                        {"truncation", nullptr},
                        {"padding", nullptr},
                        {"added_tokens", added},
                        {"normalizer", nullptr},
                        {"pre_tokenizer", pre_tokenizer_json(spec)},
                        {"post_processor", nullptr},
                        {"decoder",
                         {{"type", "ByteLevel"},
                          {"add_prefix_space", false},
                          {"trim_offsets", true},
                          {"use_regex", true}}},
                        {"model",
                         {{"type", "BPE"},
                          {"dropout", nullptr},
                          {"unk_token", nullptr},
                          {"continuing_subword_prefix", nullptr},
                          {"end_of_word_suffix", nullptr},
                          {"fuse_unk", false},
                          {"byte_fallback", false},
                          {"ignore_merges", spec.model.whole == MergeModel::Whole::kFirst},
                          {"vocab", vocabulary},
                          {"merges", merges}}}};
  return file.dump(1) + "\n";
}

}  // namespace longwave::text
