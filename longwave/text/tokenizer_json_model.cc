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

namespace {

void read_merging(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
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

/// Pieces with scores, by id.
std::vector<UnigramModel::Piece> read_scored(const JsonReader& reader, const Json& json) {
  const std::string place = "model.vocab";
  if (!json.is_array()) reader.fail(place + " must be a list of pieces", json.type_name());
  if (json.size() > static_cast<size_t>(kMostTokens)) {
    reader.fail(place + " has too many pieces", std::to_string(json.size()));
  }
  std::vector<UnigramModel::Piece> pieces;
  for (const Json& each : json) {
    if (!each.is_array() || each.size() != 2 || !each[1].is_number()) {
      reader.fail("a piece must be a text and a score", each.dump());
    }
    pieces.push_back({reader.text(each[0], place), each[1].get<double>()});
  }
  if (pieces.empty()) reader.fail("the vocabulary is empty", "0 tokens");
  return pieces;
}

void read_unigram(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  if (spec.model.alphabet == MergeModel::Alphabet::kBytes) {
    reader.unsupported("Unigram with the pre-tokenizer", "ByteLevel");
  }
  // Samples among the ways to cut a text would not be the same twice.
  for (const char* key : {"alpha", "nbest_size"}) {
    const Json& value = reader.at(json, key, "model");
    if (!value.is_null()) reader.unsupported(std::string("model.") + key, value.dump());
  }
  UnigramModel model{.pieces = read_scored(reader, reader.at(json, "vocab", "model")),
                     .unknown = {}};
  for (const UnigramModel::Piece& piece : model.pieces) spec.tokens.emplace_back(piece.text);
  const Json& unknown = reader.at(json, "unk_id", "model");
  if (!unknown.is_null()) {
    const int64_t id = reader.id(unknown, "model.unk_id");
    if (id >= std::ssize(model.pieces)) {
      reader.fail("model.unk_id is not in the vocabulary", std::to_string(id));
    }
    model.unknown.id = static_cast<int32_t>(id);
  }
  model.unknown.as_bytes = reader.flag(json, "byte_fallback", false, "model");
  model.unknown.runs = Unknown::Runs::kTogether;
  spec.unigram = std::move(model);
}

void read_lookup(const JsonReader& reader, const Json& json, LookupModel::Parts parts,
                 TokenizerSpec& spec) {
  const bool pieces = parts == LookupModel::Parts::kLongest;
  if (spec.model.alphabet == MergeModel::Alphabet::kBytes) {
    reader.unsupported("WordLevel or WordPiece with the pre-tokenizer", "ByteLevel");
  }
  LookupModel model;
  model.parts = parts;
  model.tokens = read_vocabulary(reader, reader.at(json, "vocab", "model"), spec);
  const Json& unknown = reader.at(json, "unk_token", "model");
  const auto found = model.tokens.find(unknown.is_null() ? (pieces ? "[UNK]" : "<unk>")
                                                         : reader.text(unknown, "model.unk_token"));
  if (found != model.tokens.end()) model.unknown = found->second;
  if (pieces) {
    const Json& prefix = reader.at(json, "continuing_subword_prefix", "model");
    model.continuation =
        prefix.is_null() ? "##" : reader.text(prefix, "model.continuing_subword_prefix");
    // What takes the square of a word's length must not take long.
    constexpr int64_t kUsual = 100, kMost = 1000;
    const Json& most = reader.at(json, "max_input_chars_per_word", "model");
    model.most_characters =
        most.is_null() ? kUsual : reader.count(most, 0, kMost, "model.max_input_chars_per_word");
  }
  spec.lookup = std::move(model);
}

}  // namespace

void read_model(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  const Json& type = reader.at(json, "type", "model");
  // Files of early versions do not say; the vocabulary of a byte-pair encoding is an object.
  const std::string assumed = reader.at(json, "vocab", "model").is_array() ? "Unigram" : "BPE";
  const std::string name = type.is_null() ? assumed : reader.text(type, "model.type");
  if (name == "BPE") return read_merging(reader, json, spec);
  if (name == "Unigram") return read_unigram(reader, json, spec);
  if (name == "WordLevel") return read_lookup(reader, json, LookupModel::Parts::kWhole, spec);
  if (name == "WordPiece") return read_lookup(reader, json, LookupModel::Parts::kLongest, spec);
  reader.unsupported("model.type", name);
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
    token.alone = reader.flag(each, "single_word", false, place);
    token.takes_blanks_before = reader.flag(each, "lstrip", false, place);
    token.takes_blanks_after = reader.flag(each, "rstrip", false, place);
    put_token(spec, token.id, token.content);
    spec.added.push_back(std::move(token));
  }
}

}  // namespace longwave::text
