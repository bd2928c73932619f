// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "longwave/text/tokenizer_json_stages.h"

namespace longwave::text {
namespace {

using Json = nlohmann::json;

/// Punctuation as Hugging Face has it: also the signs of ASCII that Unicode takes for symbols.
constexpr const char* kPunctuation = R"([\p{P}$+<=>^`|~])";

Splitter::Matches read_behaviour(const JsonReader& reader, const Json& json,
                                 const std::string& place) {
  using Matches = Splitter::Matches;
  static const std::unordered_map<std::string, Matches> kKinds = {
      {"Removed", Matches::kDropped},
      {"Isolated", Matches::kApart},
      {"MergedWithPrevious", Matches::kWithPrevious},
      {"MergedWithNext", Matches::kWithNext},
      {"Contiguous", Matches::kTogether}};
  const std::string behaviour =
      reader.text(reader.at(json, "behavior", place), place + ".behavior");
  const bool inverted = reader.flag(json, "invert", false, place);
  const auto found = kKinds.find(behaviour);
  if (inverted && behaviour == "Removed") return Matches::kOnly;
  const bool even = behaviour == "Isolated" || behaviour == "Contiguous";
  if (found == kKinds.end() || (inverted && !even)) {
    reader.unsupported(place + ".behavior", behaviour + (inverted ? ", inverted" : ""));
  }
  return found->second;
}

/// Blanks become marks, one of which stands before the text, and words begin with them.
void read_metaspace(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  const std::string place = "pre_tokenizer.Metaspace";
  const std::string mark = read_mark(reader, json, place);
  const PrependScheme scheme = read_prepend_scheme(reader, json, place);
  spec.cuts.emplace_back(Substitute{" ", mark});
  if (scheme != PrependScheme::kNever) {
    spec.cuts.emplace_back(Prefix{
        mark, scheme == PrependScheme::kAlways ? Prefix::Where::kAll : Prefix::Where::kFirst});
  }
  if (reader.flag(json, "split", true, place)) {
    spec.cuts.emplace_back(Split{Splitter::literal(mark), Splitter::Matches::kWithNext});
  }
}

void read_byte_level(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  const std::string place = "pre_tokenizer.ByteLevel";
  if (spec.model.alphabet == MergeModel::Alphabet::kBytes) {
    reader.unsupported("a second ByteLevel", place);
  }
  spec.model.alphabet = MergeModel::Alphabet::kBytes;
  if (reader.flag(json, "add_prefix_space", true, place)) spec.cuts.emplace_back(Prefix{" "});
  if (reader.flag(json, "use_regex", true, place)) spec.cuts.emplace_back(Split{kWordPattern});
}

void read_cut(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  const std::string place = "pre_tokenizer";
  const std::string type = reader.type(json, place);
  const auto sees = spec.model.alphabet == MergeModel::Alphabet::kBytes
                        ? Split::Sees::kByteCharacters
                        : Split::Sees::kText;
  if (type == "ByteLevel") {
    read_byte_level(reader, json, spec);
  } else if (type == "Metaspace" && sees == Split::Sees::kText) {
    read_metaspace(reader, json, spec);
  } else if (type == "Split") {
    spec.cuts.emplace_back(Split{read_pattern(reader, json, place + ".Split"),
                                 read_behaviour(reader, json, place + ".Split"), sees});
  } else if (type == "Digits") {
    const bool each = reader.flag(json, "individual_digits", false, place);
    spec.cuts.emplace_back(Split{each ? "\\p{N}" : "\\p{N}+", Splitter::Matches::kApart, sees});
  } else if (type == "Punctuation") {
    spec.cuts.emplace_back(
        Split{kPunctuation, read_behaviour(reader, json, place + ".Punctuation"), sees});
  } else if (type == "Whitespace") {
    const std::string word = kWordCharacter;
    spec.cuts.emplace_back(Split{word + "+|(?:(?!" + word + "|" + kWhiteSpace + ").)+",
                                 Splitter::Matches::kOnly, sees});
  } else if (type == "WhitespaceSplit") {
    spec.cuts.emplace_back(Split{kWhiteSpace, Splitter::Matches::kDropped, sees});
  } else if (type == "BertPreTokenizer") {
    spec.cuts.emplace_back(Split{kWhiteSpace, Splitter::Matches::kDropped, sees});
    spec.cuts.emplace_back(Split{kPunctuation, Splitter::Matches::kApart, sees});
  } else if (type == "FixedLength") {
    constexpr int64_t kMost = 65535;  // that a pattern can count
    const int64_t length =
        reader.count(reader.at(json, "length", place), 1, kMost, place + ".length");
    spec.cuts.emplace_back(
        Split{"(?s).{1," + std::to_string(length) + "}", Splitter::Matches::kApart, sees});
  } else if (type == "CharDelimiterSplit") {
    const std::string delimiter = reader.text(reader.at(json, "delimiter", place), place);
    if (delimiter.empty()) reader.fail(place + ".delimiter is empty", "\"\"");
    spec.cuts.emplace_back(Split{Splitter::literal(delimiter), Splitter::Matches::kDropped, sees});
  } else {
    reader.unsupported(place, type);
  }
}

}  // namespace

std::string read_mark(const JsonReader& reader, const Json& json, const std::string& place) {
  const std::string mark =
      reader.text(reader.at(json, "replacement", place), place + ".replacement");
  if (mark.empty()) reader.fail(place + ".replacement is empty", "\"\"");
  return mark;
}

PrependScheme read_prepend_scheme(const JsonReader& reader, const Json& json,
                                  const std::string& place) {
  const Json& scheme = reader.at(json, "prepend_scheme", place);
  if (scheme.is_null()) {
    return reader.flag(json, "add_prefix_space", true, place) ? PrependScheme::kAlways
                                                              : PrependScheme::kNever;
  }
  const std::string name = reader.text(scheme, place + ".prepend_scheme");
  if (name == "always") return PrependScheme::kAlways;
  if (name == "first") return PrependScheme::kFirst;
  if (name != "never") reader.unsupported(place + ".prepend_scheme", name);
  return PrependScheme::kNever;
}

/// "pattern": a regular expression, or a text that stands for itself.
std::string read_pattern(const JsonReader& reader, const Json& json, const std::string& place) {
  const Json& pattern = reader.at(json, "pattern", place);
  const Json& regex = reader.at(pattern, "Regex", place + ".pattern");
  if (!regex.is_null()) return reader.text(regex, place + ".pattern");
  const std::string literal =
      reader.text(reader.at(pattern, "String", place + ".pattern"), place + ".pattern");
  if (literal.empty()) reader.unsupported(place + ".pattern", "an empty text");
  return Splitter::literal(literal);
}

void read_pre_tokenizer(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  spec.model.alphabet = MergeModel::Alphabet::kCharacters;
  if (json.is_null()) return;
  reader.each(json, "pretokenizers", "pre_tokenizer",
              [&](const Json& part) { read_cut(reader, part, spec); });
}

}  // namespace longwave::text
