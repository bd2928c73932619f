// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "longwave/text/base64.h"
#include "longwave/text/tokenizer_json_stages.h"

namespace longwave::text {
namespace {

using Json = nlohmann::json;

/// Takes what matches off each section.
void add_removal(std::string pattern, TokenizerSpec& spec) {
  spec.normal.emplace_back(Replace{std::move(pattern), ""});
}

/// What a step takes off the beginning of a text is no more its beginning.
void refuse_first_mark(const JsonReader& reader, const std::string& step,
                       const TokenizerSpec& spec) {
  for (const CutStep& cut : spec.cuts) {
    const auto* prefix = std::get_if<Prefix>(&cut);
    if (prefix != nullptr && prefix->where == Prefix::Where::kFirst) {
      reader.unsupported(step + " with prepend_scheme", "first");
    }
  }
}

void read_strip(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  if (reader.flag(json, "strip_left", true, "normalizer")) {
    refuse_first_mark(reader, "Strip", spec);
    add_removal("\\A" + std::string(kWhiteSpace) + "+", spec);
  }
  if (reader.flag(json, "strip_right", true, "normalizer")) {
    add_removal(std::string(kWhiteSpace) + "+\\z", spec);
  }
}

/// Controls are lost, and what looks like a blank becomes one.
void read_nmt(const JsonReader& reader, TokenizerSpec& spec) {
  refuse_first_mark(reader, "Nmt", spec);
  add_removal("[\\x{1}-\\x{8}\\x{b}\\x{e}-\\x{1f}\\x{7f}\\x{8f}\\x{9f}]", spec);
  spec.normal.emplace_back(
      Replace{"[\\x{9}\\x{a}\\x{c}\\x{d}\\x{1680}\\x{200b}-\\x{200f}\\x{2028}\\x{2029}\\x{2581}"
              "\\x{feff}\\x{fffd}]",
              " "});
}

void read_precompiled(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  const std::string place = "normalizer.precompiled_charsmap";
  const std::string text =
      reader.text(reader.at(json, "precompiled_charsmap", "normalizer"), place);
  std::optional<std::string> map = bytes_of_base64(text);
  if (!map || map->empty()) reader.fail(place + " is no base64", text);
  spec.normal.emplace_back(Precompiled{std::move(*map)});
}

/// Ideographs as BERT has them.
constexpr const char* kIdeographs =
    "[\\x{3400}-\\x{4dbf}\\x{4e00}-\\x{9fff}\\x{f900}-\\x{faff}\\x{20000}-\\x{2a6df}"
    "\\x{2a700}-\\x{2b81f}\\x{2b920}-\\x{2ceaf}\\x{2f800}-\\x{2fa1f}]";

/// What BERT does with a text. Controls and accents are those of our Unicode; the reference has
/// those of version 8 and keeps later ones, of scripts that few vocabularies know.
void read_bert(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  const std::string place = "normalizer.BertNormalizer";
  refuse_first_mark(reader, "BertNormalizer", spec);
  if (reader.flag(json, "clean_text", true, place)) {
    add_removal("(?![\\t\\n\\r])[\\p{Cc}\\p{Cf}\\p{Co}\\x{fffd}]", spec);
    spec.normal.emplace_back(Replace{kWhiteSpace, " "});
  }
  if (reader.flag(json, "handle_chinese_chars", true, place)) {
    spec.normal.emplace_back(Surround{kIdeographs, " "});
  }
  const bool lowers = reader.flag(json, "lowercase", true, place);
  const Json& strips = reader.at(json, "strip_accents", place);
  if (strips.is_null() ? lowers : reader.flag(json, "strip_accents", lowers, place)) {
    spec.normal.emplace_back(NormalForm::kNfd);
    add_removal("\\p{Mn}", spec);
  }
  if (lowers) spec.normal.emplace_back(Lowercase{});
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
    read_strip(reader, json, spec);
  } else if (type == "StripAccents") {
    refuse_first_mark(reader, type, spec);
    add_removal("\\p{M}", spec);
  } else if (type == "Nmt") {
    read_nmt(reader, spec);
  } else if (type == "Lowercase") {
    spec.normal.emplace_back(Lowercase{});
  } else if (type == "BertNormalizer") {
    read_bert(reader, json, spec);
  } else if (type == "ByteLevel") {
    spec.normal.emplace_back(ByteCharacters{});
  } else if (type == "Precompiled") {
    read_precompiled(reader, json, spec);
  } else {
    reader.unsupported(place, type);
  }
}

}  // namespace

void read_normaliser(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  if (json.is_null()) return;
  reader.each(json, "normalizers", "normalizer",
              [&](const Json& part) { read_normal_step(reader, part, spec); });
}

}  // namespace longwave::text
