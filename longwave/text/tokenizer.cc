// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/text/sentencepiece_file.h"
#include "longwave/text/tokenizer_json.h"

namespace longwave::text {
namespace {

namespace fs = std::filesystem;

/// Bytes of a tokenizer's file that are read at most.
constexpr uint64_t kFileLimit = uint64_t{256} << 20;
constexpr const char* kJsonName = "tokenizer.json";
constexpr const char* kPiecesName = "tokenizer.model";

/// Tokens that are looked for in normalised text are normalised themselves.
std::vector<AddedToken> normalised(std::vector<AddedToken> tokens, const Normaliser& normaliser) {
  for (AddedToken& token : tokens) {
    if (token.match == AddedToken::Match::kNormalised) {
      token.content = normaliser(token.content, Place::kStart);
    }
  }
  return tokens;
}

/// Where blanks are characters such tokens stand for all that they were found as.
TokenizerSpec with_found(TokenizerSpec spec, std::string_view where) {
  if (spec.pieces || spec.model.alphabet == MergeModel::Alphabet::kBytes) return spec;
  for (const AddedToken& token : normalised(spec.added, Normaliser(spec, where))) {
    spec.tokens[static_cast<size_t>(token.id)] = token.content;
  }
  return spec;
}

std::optional<fs::path> first_of(const fs::path& folder, std::initializer_list<const char*> names) {
  std::error_code ignored;
  for (const char* name : names) {
    if (fs::exists(folder / name, ignored)) return folder / name;
  }
  return std::nullopt;
}

}  // namespace

Tokenizer::Tokenizer(TokenizerSpec spec, StoredFile file, std::string_view where,
                     const TokenSettings& settings)
    : spec_(with_found(std::move(spec), where)),
      files_(format_token_settings(settings)),
      normaliser_(spec_, where),
      raw_(spec_.added, AddedToken::Match::kRaw),
      normalised_(normalised(spec_.added, normaliser_), AddedToken::Match::kNormalised),
      cutter_(spec_.cuts, where),
      model_(make_word_model(spec_, where)),
      decoder_(spec_),
      special_(spec_.tokens.size(), 0) {
  files_.insert(files_.begin(), std::move(file));
  apply(settings, spec_);
  for (const AddedToken& added : spec_.added) {
    special_[static_cast<size_t>(added.id)] = added.special ? 1 : 0;
  }
}

Tokenizer Tokenizer::bytes() {
  TokenizerSpec spec;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.emplace_back(std::string(1, char(byte)));
  std::string json = format_tokenizer(spec);
  return {std::move(spec), {kJsonName, std::move(json)}, "bytes", {}};
}

Tokenizer Tokenizer::parse(std::string json, std::string_view where,
                           const TokenSettings& settings) {
  TokenizerSpec spec = parse_tokenizer(json, where);
  return {std::move(spec), {kJsonName, std::move(json)}, where, settings};
}

Tokenizer Tokenizer::parse_pieces(std::string model, std::string_view where,
                                  const TokenSettings& settings) {
  TokenizerSpec spec = spec_of(parse_sentencepiece(model, where), where);
  return {std::move(spec), {kPiecesName, std::move(model)}, where, settings};
}

Tokenizer Tokenizer::parse_gpt2(std::string_view vocabulary, std::string_view merges,
                                std::string_view where, const TokenSettings& settings) {
  TokenizerSpec spec = parse_gpt2_files(vocabulary, merges, where);
  std::string json = format_tokenizer(spec);
  return {std::move(spec), {kJsonName, std::move(json)}, where, settings};
}

Tokenizer Tokenizer::load(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    const std::string content = io::read_text(path, kFileLimit);
    return path.extension() == ".model" ? parse_pieces(content, path.string())
                                        : parse(content, path.string());
  }
  if (auto found = find(path)) return std::move(*found);
  throw IoError({.where = path.string(),
                 .what = "holds no tokenizer",
                 .got = {},
                 .fix = "a folder with tokenizer.json, tokenizer.model, or vocab.json and "
                        "merges.txt"});
}

std::optional<Tokenizer> Tokenizer::find(const fs::path& folder) {
  const auto read = [](const fs::path& path) { return io::read_text(path, kFileLimit); };
  if (const auto json = first_of(folder, {kJsonName})) {
    return parse(read(*json), json->string(), load_token_settings(folder));
  }
  if (const auto pieces = first_of(folder, {kPiecesName, "spiece.model"})) {
    return parse_pieces(read(*pieces), pieces->string(), load_token_settings(folder));
  }
  const auto vocabulary = first_of(folder, {"vocab.json", "encoder.json"});
  const auto merges = first_of(folder, {"merges.txt", "vocab.bpe"});
  if (!vocabulary || !merges) return std::nullopt;
  return parse_gpt2(read(*vocabulary), read(*merges), folder.string(), load_token_settings(folder));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, Place place) const {
  using Section = WordCutter::Section;
  std::vector<int64_t> ids;
  const auto found = [&ids](int64_t id) { ids.push_back(id); };
  const auto section = [&](std::string_view raw) {
    const bool first = raw.data() == text.data();
    const bool goes_on = first && place == Place::kMiddle;
    const std::string normal = normaliser_(raw, goes_on ? Place::kMiddle : Place::kStart);
    normalised_.cut(
        normal,
        [&](std::string_view piece) {
          const bool begins = first && piece.data() == normal.data();
          const Section where = !begins   ? Section::kLater
                                : goes_on ? Section::kGoesOn
                                          : Section::kFirst;
          encode_words(cutter_(piece, where), ids);
        },
        found);
  };
  raw_.cut(text, section, found);
  return ids;
}

std::vector<int64_t> Tokenizer::encode_prompt(std::string_view text) const {
  std::vector<int64_t> ids = spec_.begin;
  const std::vector<int64_t> rest = encode(text);
  ids.insert(ids.end(), rest.begin(), rest.end());
  return ids;
}

std::vector<int64_t> Tokenizer::encode_whole(std::string_view text) const {
  std::vector<int64_t> ids = encode_prompt(text);
  ids.insert(ids.end(), spec_.end.begin(), spec_.end.end());
  return ids;
}

void Tokenizer::encode_words(const WordCutter::Words& words, std::vector<int64_t>& ids) const {
  // Words come again and again: where each stood first, and how many tokens it has.
  std::unordered_map<std::string_view, std::pair<size_t, size_t>> seen;
  for (const std::string_view word : words.words) {
    const auto found = seen.find(word);
    if (found != seen.end()) {
      const auto [first, count] = found->second;
      for (size_t i = 0; i < count; ++i) ids.push_back(ids[first + i]);
      continue;
    }
    const size_t first = ids.size();
    model_->encode(word, ids);
    seen.emplace(word, std::pair{first, ids.size() - first});
  }
}

std::string_view Tokenizer::token(int64_t id) const {
  require(id >= 0 && id < size(), "tokenizer", "the token is not in the vocabulary");
  return decoder_.spelt(id);
}

bool Tokenizer::is_special(int64_t id) const {
  return id >= 0 && id < size() && special_[static_cast<size_t>(id)] != 0;
}

bool Tokenizer::is_end(int64_t id) const {
  return is_special(id) || std::ranges::find(spec_.ends, id) != spec_.ends.end();
}

std::optional<int64_t> Tokenizer::added(std::string_view content) const {
  const auto found = std::ranges::find(spec_.added, content, &AddedToken::content);
  if (found == spec_.added.end()) return std::nullopt;
  return found->id;
}

void Tokenizer::decode(int64_t id, Decoder::Position& position, std::string& text) const {
  require(id >= 0 && id < size(), "tokenizer", "the token is not in the vocabulary");
  const bool shown = !is_special(id) && spec_.tokens[static_cast<size_t>(id)].has_value();
  if (shown) decoder_.append(id, position, text);
}

std::string Tokenizer::decode(std::span<const int64_t> ids, Place place) const {
  Decoder::Position position{.place = place};
  std::string text;
  for (const int64_t id : ids) decode(id, position, text);
  return text;
}

}  // namespace longwave::text
