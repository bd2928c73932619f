// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/tokenizer_json.h"

#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/text/byte_level.h"

namespace longwave::text {
namespace {

using Json = nlohmann::json;
using Vocabulary = std::unordered_map<std::string, int32_t>;

/// Ids beyond this are taken for damage.
constexpr int64_t kMostTokens = int64_t{1} << 22;

/// Reads values with messages that name the file and the place in it.
struct Reader {
  std::string where;

  [[noreturn]] void fail(const std::string& what, const std::string& got,
                         const std::string& fix = {}) const {
    constexpr size_t kShown = 200;
    throw DataError({.where = where, .what = what, .got = got.substr(0, kShown), .fix = fix});
  }

  [[noreturn]] void unsupported(const std::string& what, const std::string& got) const {
    fail(what + " is not supported", got, "supported are byte-level BPE tokenizers, as GPT-2's");
  }

  Json parse(std::string_view text) const {
    try {
      return Json::parse(text);
    } catch (const Json::parse_error& error) {
      fail("this is no JSON", error.what());
    }
  }

  /// The entry of an object, null if there is none.
  const Json& at(const Json& object, const char* key, const std::string& place) const {
    static const Json kNull;
    if (!object.is_object()) fail(place + " must be an object", object.type_name());
    const auto found = object.find(key);
    return found == object.end() ? kNull : *found;
  }

  std::string text(const Json& value, const std::string& place) const {
    if (!value.is_string()) fail(place + " must be text", value.type_name());
    return value.get<std::string>();
  }

  bool flag(const Json& object, const char* key, bool otherwise, const std::string& place) const {
    const Json& value = at(object, key, place);
    if (value.is_null()) return otherwise;
    if (!value.is_boolean()) fail(place + "." + key + " must be true or false", value.type_name());
    return value.get<bool>();
  }

  int64_t id(const Json& value, const std::string& place) const {
    if (!value.is_number_integer()) fail(place + " must be an id", value.type_name());
    const bool in_range = value.is_number_unsigned()
                              ? value.get<uint64_t>() < static_cast<uint64_t>(kMostTokens)
                              : value.get<int64_t>() >= 0;
    if (!in_range) fail(place + ": the id is out of range", std::to_string(value.get<int64_t>()));
    return value.get<int64_t>();
  }
};

void put_token(TokenizerSpec& spec, int64_t id, std::string bytes) {
  const auto index = static_cast<size_t>(id);
  if (spec.tokens.size() <= index) spec.tokens.resize(index + 1);
  spec.tokens[index] = std::move(bytes);
}

Vocabulary read_vocabulary(const Reader& reader, const Json& json, TokenizerSpec& spec) {
  if (!json.is_object()) reader.fail("model.vocab must be an object", json.type_name());
  Vocabulary vocabulary;
  for (const auto& [token, value] : json.items()) {
    const int64_t id = reader.id(value, "model.vocab");
    const auto index = static_cast<size_t>(id);
    if (index < spec.tokens.size() && spec.tokens[index]) {
      reader.fail("two tokens have the same id", token + " and another: " + std::to_string(id));
    }
    // A token that is not spelt in bytes stands for itself.
    put_token(spec, id, bytes_of_characters(token).value_or(token));
    vocabulary.emplace(token, static_cast<int32_t>(id));
  }
  if (vocabulary.empty()) reader.fail("the vocabulary is empty", "0 tokens");
  return vocabulary;
}

int32_t known(const Reader& reader, const Vocabulary& vocabulary, const std::string& token) {
  const auto found = vocabulary.find(token);
  if (found == vocabulary.end()) {
    reader.fail("a merge needs a token that is not in the vocabulary", "\"" + token + "\"");
  }
  return found->second;
}

Merge merge_of(const Reader& reader, const Vocabulary& vocabulary, const std::string& left,
               const std::string& right) {
  return {known(reader, vocabulary, left), known(reader, vocabulary, right),
          known(reader, vocabulary, left + right)};
}

/// Reads "left right".
Merge merge_of(const Reader& reader, const Vocabulary& vocabulary, const std::string& line) {
  const size_t blank = line.find(' ');
  if (blank == std::string::npos || line.find(' ', blank + 1) != std::string::npos) {
    reader.fail("a merge must be two tokens with a blank between them", "\"" + line + "\"");
  }
  return merge_of(reader, vocabulary, line.substr(0, blank), line.substr(blank + 1));
}

void read_merges(const Reader& reader, const Json& json, const Vocabulary& vocabulary,
                 TokenizerSpec& spec) {
  if (!json.is_array()) reader.fail("model.merges must be a list", json.type_name());
  for (const Json& merge : json) {
    if (merge.is_string()) {
      spec.merges.push_back(merge_of(reader, vocabulary, merge.get<std::string>()));
    } else if (merge.is_array() && merge.size() == 2) {
      spec.merges.push_back(merge_of(reader, vocabulary, reader.text(merge[0], "model.merges"),
                                     reader.text(merge[1], "model.merges")));
    } else {
      reader.fail("a merge must be a text or a pair", merge.type_name());
    }
  }
}

void read_model(const Reader& reader, const Json& model, TokenizerSpec& spec) {
  const Json& type = reader.at(model, "type", "model");
  if (!type.is_null() && reader.text(type, "model.type") != "BPE") {
    reader.unsupported("model.type", type.get<std::string>());
  }
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json& value = reader.at(model, key, "model");
    const bool has_effect = !value.is_null() && !(value.is_string() && value.empty()) &&
                            value != Json("") && value != Json(0.0);
    if (has_effect) reader.unsupported(std::string("model.") + key, value.type_name());
  }
  if (reader.flag(model, "byte_fallback", false, "model")) {
    reader.unsupported("model.byte_fallback", "true");
  }
  if (reader.flag(model, "ignore_merges", false, "model")) {
    spec.whole = TokenizerSpec::Whole::kFirst;
  }
  const Vocabulary vocabulary = read_vocabulary(reader, reader.at(model, "vocab", "model"), spec);
  read_merges(reader, reader.at(model, "merges", "model"), vocabulary, spec);
}

void read_normaliser(const Reader& reader, const Json& json, TokenizerSpec& spec) {
  if (json.is_null()) return;
  const std::string type = reader.text(reader.at(json, "type", "normalizer"), "normalizer.type");
  if (type == "NFC") {
    spec.normal = TokenizerSpec::Normal::kComposed;
    return;
  }
  const Json& parts = reader.at(json, "normalizers", "normalizer");
  if (type != "Sequence" || !parts.is_array()) reader.unsupported("normalizer", type);
  for (const Json& part : parts) {
    if (part.is_object() && part.value("type", Json()) == Json("Sequence")) {
      reader.unsupported("a sequence in a sequence", "normalizer");
    }
    read_normaliser(reader, part, spec);
  }
}

/// "Split": only the form that loses nothing.
void read_split(const Reader& reader, const Json& json, TokenizerSpec& spec) {
  const std::string place = "pre_tokenizer.Split";
  const std::string behaviour =
      reader.text(reader.at(json, "behavior", place), place + ".behavior");
  const bool inverted = reader.flag(json, "invert", false, place);
  // What matches is kept and what lies between is lost: the same where everything matches.
  const bool isolated = behaviour == "Isolated" || (behaviour == "Removed" && inverted);
  if (!isolated) reader.unsupported(place + ".behavior", behaviour);
  const Json& pattern = reader.at(json, "pattern", place);
  const Json& regex = reader.at(pattern, "Regex", place + ".pattern");
  if (!regex.is_null()) {
    spec.patterns.push_back(reader.text(regex, place + ".pattern"));
    return;
  }
  const std::string literal =
      reader.text(reader.at(pattern, "String", place + ".pattern"), place + ".pattern");
  spec.patterns.push_back("\\Q" + literal + "\\E");
  if (literal.find("\\E") != std::string::npos) reader.unsupported(place + ".pattern", literal);
}

/// One pre-tokenizer; says whether it was ByteLevel.
bool read_pre_tokenizer(const Reader& reader, const Json& json, TokenizerSpec& spec) {
  const std::string place = "pre_tokenizer";
  const std::string type = reader.text(reader.at(json, "type", place), place + ".type");
  if (type == "ByteLevel") {
    if (reader.flag(json, "add_prefix_space", true, place)) {
      if (!spec.patterns.empty()) reader.unsupported("add_prefix_space after a split", "true");
      spec.prefix = TokenizerSpec::Prefix::kSpace;
    }
    if (reader.flag(json, "use_regex", true, place)) spec.patterns.emplace_back(kWordPattern);
    return true;
  }
  if (type == "Split") {
    read_split(reader, json, spec);
  } else if (type == "Digits") {
    spec.patterns.emplace_back(reader.flag(json, "individual_digits", false, place) ? "\\p{N}"
                                                                                    : "\\p{N}+");
  } else {
    reader.unsupported(place, type);
  }
  return false;
}

void read_pre_tokenizers(const Reader& reader, const Json& json, TokenizerSpec& spec) {
  if (json.is_null()) reader.unsupported("a tokenizer without ByteLevel pre_tokenizer", "null");
  const Json& parts = reader.at(json, "pretokenizers", "pre_tokenizer");
  bool byte_level = false;
  if (parts.is_array()) {
    for (const Json& part : parts) {
      if (byte_level) reader.unsupported("a pre_tokenizer after ByteLevel", part.type_name());
      byte_level = read_pre_tokenizer(reader, part, spec);
    }
  } else {
    byte_level = read_pre_tokenizer(reader, json, spec);
  }
  if (!byte_level) reader.unsupported("a tokenizer without ByteLevel pre_tokenizer", "others only");
}

void read_decoder(const Reader& reader, const Json& json) {
  if (json.is_null()) return;
  const std::string type = reader.text(reader.at(json, "type", "decoder"), "decoder.type");
  if (type != "ByteLevel") reader.unsupported("decoder", type);
}

/// The template of a single text: special tokens, then the text.
void read_template(const Reader& reader, const Json& json, TokenizerSpec& spec) {
  const std::string place = "post_processor";
  const Json& tokens = reader.at(json, "special_tokens", place);
  const Json& single = reader.at(json, "single", place);
  bool text_seen = false;
  for (const Json& part : single) {
    const Json& special = reader.at(part, "SpecialToken", place + ".single");
    if (special.is_null()) {
      text_seen = true;
      continue;
    }
    const std::string name = reader.text(reader.at(special, "id", place), place + ".single");
    if (text_seen) reader.unsupported(place + " with a token behind the text", name);
    const Json& entry = reader.at(tokens, name.c_str(), place + ".special_tokens");
    const Json& ids = reader.at(entry, "ids", place + ".special_tokens");
    if (!ids.is_array()) reader.fail(place + ": a special token has no ids", name);
    for (const Json& each : ids) {
      const int64_t id = reader.id(each, place + ".special_tokens");
      if (id >= static_cast<int64_t>(spec.tokens.size())) {
        reader.fail(place + ": a special token is not in the vocabulary", name);
      }
      spec.begin.push_back(id);
    }
  }
}

/// Post-processors add tokens around a text; those before it are kept apart in the spec.
void read_post_processor(const Reader& reader, const Json& json, TokenizerSpec& spec) {
  if (json.is_null()) return;
  const std::string place = "post_processor";
  const std::string type = reader.text(reader.at(json, "type", place), place + ".type");
  const Json& parts = reader.at(json, "processors", place);
  if (type == "ByteLevel") return;
  if (type == "TemplateProcessing") {
    read_template(reader, json, spec);
  } else if (type == "Sequence" && parts.is_array()) {
    for (const Json& part : parts) {
      if (part.is_object() && part.value("type", Json()) == Json("Sequence")) {
        reader.unsupported("a sequence in a sequence", place);
      }
      read_post_processor(reader, part, spec);
    }
  } else {
    reader.unsupported(place, type);
  }
}

void read_added(const Reader& reader, const Json& json, TokenizerSpec& spec) {
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

Json pre_tokenizer_json(const TokenizerSpec& spec) {
  const bool words = spec.patterns.size() == 1 && spec.patterns[0] == kWordPattern;
  Json byte_level = {{"type", "ByteLevel"},
                     {"add_prefix_space", spec.prefix == TokenizerSpec::Prefix::kSpace},
                     {"trim_offsets", true},
                     {"use_regex", words}};
  if (words || spec.patterns.empty()) return byte_level;
  Json parts = Json::array();
  for (const std::string& pattern : spec.patterns) {
    parts.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  parts.push_back(byte_level);
  return {{"type", "Sequence"}, {"pretokenizers", parts}};
}

}  // namespace

TokenizerSpec parse_tokenizer(std::string_view json, std::string_view where) {
  const Reader reader{std::string(where)};
  const Json file = reader.parse(json);
  TokenizerSpec spec;
  read_model(reader, reader.at(file, "model", "the file"), spec);
  read_normaliser(reader, reader.at(file, "normalizer", "the file"), spec);
  read_pre_tokenizers(reader, reader.at(file, "pre_tokenizer", "the file"), spec);
  read_decoder(reader, reader.at(file, "decoder", "the file"));
  read_added(reader, reader.at(file, "added_tokens", "the file"), spec);
  read_post_processor(reader, reader.at(file, "post_processor", "the file"), spec);
  return spec;
}

TokenizerSpec parse_gpt2_files(std::string_view vocabulary, std::string_view merges,
                               std::string_view where) {
  const Reader reader{std::string(where)};
  TokenizerSpec spec;
  spec.patterns = {kWordPattern};
  const Vocabulary known = read_vocabulary(reader, reader.parse(vocabulary), spec);
  for (const auto& [token, id] : known) {
    if (!bytes_of_characters(token))
      reader.unsupported("a token that is not spelt in bytes", token);
  }
  while (!merges.empty()) {
    const size_t end = std::min(merges.find('\n'), merges.size());
    std::string line(merges.substr(0, end));
    merges.remove_prefix(std::min(end + 1, merges.size()));
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty() || line.starts_with("#version")) continue;
    spec.merges.push_back(merge_of(reader, known, line));
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
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
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
  for (const Merge& merge : spec.merges) {
    merges.push_back(characters_of_bytes(*spec.tokens[static_cast<size_t>(merge.left)]) + " " +
                     characters_of_bytes(*spec.tokens[static_cast<size_t>(merge.right)]));
  }
  const bool composed = spec.normal == TokenizerSpec::Normal::kComposed;
  const Ordered file = {{"version", "1.0"},
                        {"truncation", nullptr},
                        {"padding", nullptr},
                        {"added_tokens", added},
                        {"normalizer", composed ? Ordered{{"type", "NFC"}} : Ordered(nullptr)},
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
                          {"ignore_merges", spec.whole == TokenizerSpec::Whole::kFirst},
                          {"vocab", vocabulary},
                          {"merges", merges}}}};
  return file.dump(1) + "\n";
}

}  // namespace longwave::text
