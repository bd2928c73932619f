// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/tokenizer_json_stages.h"

namespace longwave::text {
namespace {

using Json = nlohmann::json;

/// Every white space character of Unicode; \s of PCRE2 also takes U+180E.
constexpr const char* kSpaces =
    "[\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"
    "\\x{3000}]+";

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

void read_normal_step(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  static const std::unordered_map<std::string, NormalForm> kForms = {{"NFC", NormalForm::kNfc},
                                                                     {"NFD", NormalForm::kNfd},
                                                                     {"NFKC", NormalForm::kNfkc},
                                                                     {"NFKD", NormalForm::kNfkd}};
  const std::string place = "normalizer";
  const std::string type = reader.type(json, place);
  const auto form = kForms.find(type);
  if (form != kForms.end()) {
    spec.normal.emplace_back(form->second);
  } else if (type == "Prepend") {
    spec.normal.emplace_back(
        Prepend{reader.text(reader.at(json, "prepend", place), place + ".prepend")});
  } else if (type == "Replace") {
    spec.normal.emplace_back(
        Replace{read_pattern(reader, json, place),
                reader.text(reader.at(json, "content", place), place + ".content")});
  } else if (type == "Strip") {
    if (reader.flag(json, "strip_left", true, place)) {
      // What is stripped counts as the beginning of the text, then.
      for (const CutStep& step : spec.cuts) {
        const auto* prefix = std::get_if<Prefix>(&step);
        if (prefix != nullptr && prefix->where == Prefix::Where::kFirst) {
          reader.unsupported("Strip with prepend_scheme", "first");
        }
      }
      spec.normal.emplace_back(Replace{"\\A" + std::string(kSpaces), ""});
    }
    if (reader.flag(json, "strip_right", true, place)) {
      spec.normal.emplace_back(Replace{std::string(kSpaces) + "\\z", ""});
    }
  } else {
    reader.unsupported(place, type);
  }
}

Splitter::Matches read_behaviour(const JsonReader& reader, const Json& json,
                                 const std::string& place) {
  using Matches = Splitter::Matches;
  static const std::unordered_map<std::string, Matches> kKinds = {
      {"Isolated", Matches::kApart},
      {"MergedWithPrevious", Matches::kWithPrevious},
      {"MergedWithNext", Matches::kWithNext},
      {"Contiguous", Matches::kTogether}};
  const std::string behaviour =
      reader.text(reader.at(json, "behavior", place), place + ".behavior");
  const bool inverted = reader.flag(json, "invert", false, place);
  // What matches is kept and what lies between is lost: the same where everything matches.
  if (inverted && (behaviour == "Removed" || behaviour == "Isolated")) return Matches::kApart;
  const auto found = kKinds.find(behaviour);
  if (found == kKinds.end() || inverted) {
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
    // The signs of ASCII that Unicode takes for symbols are punctuation here, too.
    spec.cuts.emplace_back(
        Split{"[\\p{P}$+<=>^`|~]", read_behaviour(reader, json, place + ".Punctuation"), sees});
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

void read_normaliser(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  if (json.is_null()) return;
  reader.each(json, "normalizers", "normalizer",
              [&](const Json& part) { read_normal_step(reader, part, spec); });
}

void read_pre_tokenizer(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  spec.model.alphabet = MergeModel::Alphabet::kCharacters;
  if (json.is_null()) return;
  reader.each(json, "pretokenizers", "pre_tokenizer",
              [&](const Json& part) { read_cut(reader, part, spec); });
}

}  // namespace longwave::text
