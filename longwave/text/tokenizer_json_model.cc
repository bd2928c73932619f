// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "longwave/text/byte_level.h"
#include "longwave/text/tokenizer_json_stages.h"

namespace longwave::text {
namespace {

using Json = nlohmann::json;

void put_token(TokenizerSpec& spec, int64_t id, std::string bytes) {
  const auto index = static_cast<size_t>(id);
  if (spec.tokens.size() <= index) spec.tokens.resize(index + 1);
  spec.tokens[index] = std::move(bytes);
}

int32_t known(const JsonReader& reader, const Vocabulary& vocabulary, const std::string& token,
              const char* what) {
  const auto found = vocabulary.find(token);
  if (found == vocabulary.end()) {
    reader.fail(std::string(what) + " is not in the vocabulary", "\"" + token + "\"");
  }
  return found->second;
}

Merge merge_of(const JsonReader& reader, const Vocabulary& vocabulary, const std::string& left,
               const std::string& right) {
  constexpr const char* kWhat = "a token that a merge needs";
  return {known(reader, vocabulary, left, kWhat), known(reader, vocabulary, right, kWhat),
          known(reader, vocabulary, left + right, kWhat)};
}

std::vector<Merge> read_merges(const JsonReader& reader, const Json& json,
                               const Vocabulary& vocabulary) {
  if (!json.is_array()) reader.fail("model.merges must be a list", json.type_name());
  std::vector<Merge> merges;
  for (const Json& merge : json) {
    if (merge.is_string()) {
      merges.push_back(merge_of(reader, vocabulary, merge.get<std::string>()));
    } else if (merge.is_array() && merge.size() == 2) {
      merges.push_back(merge_of(reader, vocabulary, reader.text(merge[0], "model.merges"),
                                reader.text(merge[1], "model.merges")));
    } else {
      reader.fail("a merge must be a text or a pair", merge.type_name());
    }
  }
  return merges;
}

}  // namespace

Merge merge_of(const JsonReader& reader, const Vocabulary& vocabulary, const std::string& line) {
  const size_t blank = line.find(' ');
  if (blank == std::string::npos || line.find(' ', blank + 1) != std::string::npos) {
    reader.fail("a merge must be two tokens with a blank between them", "\"" + line + "\"");
  }
  return merge_of(reader, vocabulary, line.substr(0, blank), line.substr(blank + 1));
}

Vocabulary read_vocabulary(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  if (!json.is_object()) reader.fail("model.vocab must be an object", json.type_name());
  const bool bytes = spec.model.alphabet == MergeModel::Alphabet::kBytes;
  Vocabulary vocabulary;
  for (const auto& [token, value] : json.items()) {
    const int64_t id = reader.id(value, "model.vocab");
    const auto index = static_cast<size_t>(id);
    if (index < spec.tokens.size() && spec.tokens[index]) {
      reader.fail("two tokens have the same id", token + " and another: " + std::to_string(id));
    }
    // A token that is not spelt in bytes stands for itself.
    put_token(spec, id, bytes ? bytes_of_characters(token).value_or(token) : token);
    vocabulary.emplace(token, static_cast<int32_t>(id));
  }
  if (vocabulary.empty()) reader.fail("the vocabulary is empty", "0 tokens");
  return vocabulary;
}

void read_model(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  const Json& type = reader.at(json, "type", "model");
  if (!type.is_null() && reader.text(type, "model.type") != "BPE") {
    reader.unsupported("model.type", type.get<std::string>());
  }
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json& value = reader.at(json, key, "model");
    const bool has_effect = !value.is_null() && value != Json("") && value != Json(0.0);
    if (has_effect) reader.unsupported(std::string("model.") + key, value.type_name());
  }
  MergeModel& model = spec.model;
  if (reader.flag(json, "ignore_merges", false, "model")) {
    model.whole = MergeModel::Whole::kFirst;
  }
  const Vocabulary vocabulary = read_vocabulary(reader, reader.at(json, "vocab", "model"), spec);
  model.merges = read_merges(reader, reader.at(json, "merges", "model"), vocabulary);
  // Where every byte is a token nothing is unknown.
  if (model.alphabet == MergeModel::Alphabet::kBytes) return;
  model.unknown.as_bytes = reader.flag(json, "byte_fallback", false, "model");
  if (reader.flag(json, "fuse_unk", false, "model")) {
    model.unknown.runs = Unknown::Runs::kTogether;
  }
  const Json& unknown = reader.at(json, "unk_token", "model");
  if (!unknown.is_null()) {
    model.unknown.id =
        known(reader, vocabulary, reader.text(unknown, "model.unk_token"), "model.unk_token");
  }
}

void read_added(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  if (json.is_null()) return;
  if (!json.is_array()) reader.fail("added_tokens must be a list", json.type_name());
  const std::string place = "added_tokens";
  for (const Json& each : json) {
    AddedToken token;
    token.content = reader.text(reader.at(each, "content", place), place + ".content");
    if (token.content.empty()) reader.fail("an added token is empty", "\"\"");
    token.id = reader.id(reader.at(each, "id", place), place + ".id");
    token.special = reader.flag(each, "special", false, place);
    const bool normalised = reader.flag(each, "normalized", !token.special, place);
    token.match = normalised ? AddedToken::Match::kNormalised : AddedToken::Match::kRaw;
    for (const char* key : {"single_word", "lstrip", "rstrip"}) {
      if (reader.flag(each, key, false, place)) {
        reader.unsupported(place + "." + key, token.content);
      }
    }
    put_token(spec, token.id, token.content);
    spec.added.push_back(std::move(token));
  }
}

}  // namespace longwave::text
