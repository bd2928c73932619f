// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/text/normal_form.h"
#include "longwave/text/tokenizer_json.h"

namespace longwave::text {
namespace {

namespace fs = std::filesystem;

/// Bytes of a tokenizer's file that are read at most.
constexpr uint64_t kFileLimit = uint64_t{256} << 20;

Bpe::ByteIds byte_ids(const TokenizerSpec& spec) {
  Bpe::ByteIds ids;
  ids.fill(Bpe::kNone);
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::optional<std::string>& token = spec.tokens[id];
    if (!token || token->size() != 1) continue;
    const auto number = static_cast<int64_t>(id);
    if (std::ranges::find(spec.added, number, &AddedToken::id) != spec.added.end()) continue;
    ids[static_cast<uint8_t>(token->front())] = static_cast<int32_t>(id);
  }
  return ids;
}

std::optional<fs::path> first_of(const fs::path& folder, std::initializer_list<const char*> names) {
  std::error_code ignored;
  for (const char* name : names) {
    if (fs::exists(folder / name, ignored)) return folder / name;
  }
  return std::nullopt;
}

}  // namespace

Tokenizer::Tokenizer(TokenizerSpec spec, std::string json, std::string_view where)
    : spec_(std::move(spec)),
      json_(std::move(json)),
      where_(where),
      bpe_(byte_ids(spec_), spec_.merges),
      special_(spec_.tokens.size(), 0) {
  for (const std::string& pattern : spec_.patterns) splitters_.emplace_back(pattern, where);
  for (size_t i = 0; i < spec_.added.size(); ++i) {
    AddedToken& added = spec_.added[i];
    special_[static_cast<size_t>(added.id)] = added.special ? 1 : 0;
    if (added.match == AddedToken::Match::kNormalised &&
        spec_.normal == TokenizerSpec::Normal::kComposed) {
      added.content = composed(added.content);
    }
    added_by_byte_[static_cast<uint8_t>(added.content.front())].push_back(i);
  }
  for (std::vector<size_t>& same : added_by_byte_) {
    std::ranges::stable_sort(same, [this](size_t a, size_t b) {
      return spec_.added[a].content.size() > spec_.added[b].content.size();
    });
  }
  if (spec_.whole == TokenizerSpec::Whole::kFirst) {
    for (size_t id = 0; id < spec_.tokens.size(); ++id) {
      if (spec_.tokens[id]) whole_.emplace(*spec_.tokens[id], static_cast<int64_t>(id));
    }
  }
}

Tokenizer Tokenizer::bytes() {
  TokenizerSpec spec;
  for (int byte = 0; byte < 256; ++byte) spec.tokens.emplace_back(std::string(1, char(byte)));
  std::string json = format_tokenizer(spec);
  return {std::move(spec), std::move(json), "bytes"};
}

Tokenizer Tokenizer::parse(std::string json, std::string_view where) {
  TokenizerSpec spec = parse_tokenizer(json, where);
  return {std::move(spec), std::move(json), where};
}

Tokenizer Tokenizer::parse_gpt2(std::string_view vocabulary, std::string_view merges,
                                std::string_view where) {
  TokenizerSpec spec = parse_gpt2_files(vocabulary, merges, where);
  std::string json = format_tokenizer(spec);
  return {std::move(spec), std::move(json), where};
}

Tokenizer Tokenizer::load(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    return parse(io::read_text(path, kFileLimit), path.string());
  }
  if (const auto json = first_of(path, {"tokenizer.json"})) return load(*json);
  const auto vocabulary = first_of(path, {"vocab.json", "encoder.json"});
  const auto merges = first_of(path, {"merges.txt", "vocab.bpe"});
  if (!vocabulary || !merges) {
    throw IoError({.where = path.string(),
                   .what = "holds no tokenizer",
                   .got = {},
                   .fix = "a folder with tokenizer.json, or with vocab.json and merges.txt"});
  }
  return parse_gpt2(io::read_text(*vocabulary, kFileLimit), io::read_text(*merges, kFileLimit),
                    path.string());
}

/// Gives what lies between added tokens to `between`, and the added tokens' ids to `ids`; at each
/// place the longest one counts.
template <typename Between>
void Tokenizer::cut_at_added(std::string_view text, AddedToken::Match match,
                             std::vector<int64_t>& ids, const Between& between) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* found = nullptr;
    for (const size_t index : added_by_byte_[static_cast<uint8_t>(text[at])]) {
      const AddedToken& added = spec_.added[index];
      if (added.match != match || !text.substr(at).starts_with(added.content)) continue;
      found = &added;
      break;
    }
    if (found == nullptr) {
      ++at;
      continue;
    }
    if (at > done) between(text.substr(done, at - done));
    ids.push_back(found->id);
    done = at += found->content.size();
  }
  if (done < text.size()) between(text.substr(done));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int64_t> ids;
  const auto plain = [&](std::string_view piece) { encode_plain(piece, ids); };
  const auto normalised = [&](std::string_view piece) {
    const std::string normal =
        spec_.normal == TokenizerSpec::Normal::kComposed ? composed(piece) : std::string(piece);
    cut_at_added(normal, AddedToken::Match::kNormalised, ids, plain);
  };
  cut_at_added(text, AddedToken::Match::kRaw, ids, normalised);
  return ids;
}

std::vector<int64_t> Tokenizer::encode_whole(std::string_view text) const {
  std::vector<int64_t> ids = spec_.begin;
  const std::vector<int64_t> rest = encode(text);
  ids.insert(ids.end(), rest.begin(), rest.end());
  return ids;
}

void Tokenizer::encode_word(std::string_view word, std::vector<int64_t>& ids) const {
  const auto whole = whole_.find(word);
  if (whole != whole_.end()) {
    ids.push_back(whole->second);
    return;
  }
  const int32_t unknown = bpe_.encode(word, ids);
  if (unknown == Bpe::kNone) return;
  throw DataError({.where = where_,
                   .what = "the vocabulary has no token for the byte " + std::to_string(unknown),
                   .got = "\"" + std::string(word) + "\"",
                   .fix = "leave such characters out, or take a tokenizer with all 256 bytes"});
}

void Tokenizer::encode_plain(std::string_view text, std::vector<int64_t>& ids) const {
  std::string prefixed;
  if (spec_.prefix == TokenizerSpec::Prefix::kSpace && !text.starts_with(' ')) {
    prefixed = " " + std::string(text);
    text = prefixed;
  }
  std::vector<std::string_view> pieces = {text}, finer;
  for (const Splitter& splitter : splitters_) {
    finer.clear();
    for (const std::string_view piece : pieces) splitter.split(piece, finer);
    std::swap(pieces, finer);
  }
  // Words come again and again: where each stood first, and how many tokens it has.
  std::unordered_map<std::string_view, std::pair<size_t, size_t>> seen;
  for (const std::string_view piece : pieces) {
    const auto found = seen.find(piece);
    if (found != seen.end()) {
      const auto [first, count] = found->second;
      for (size_t i = 0; i < count; ++i) ids.push_back(ids[first + i]);
      continue;
    }
    const size_t first = ids.size();
    encode_word(piece, ids);
    seen.emplace(piece, std::pair{first, ids.size() - first});
  }
}

std::string_view Tokenizer::token(int64_t id) const {
  require(id >= 0 && id < size(), "tokenizer", "the token is not in the vocabulary");
  const std::optional<std::string>& token = spec_.tokens[static_cast<size_t>(id)];
  return token ? std::string_view(*token) : std::string_view();
}

bool Tokenizer::is_special(int64_t id) const {
  return id >= 0 && id < size() && special_[static_cast<size_t>(id)] != 0;
}

std::optional<int64_t> Tokenizer::added(std::string_view content) const {
  const auto found = std::ranges::find(spec_.added, content, &AddedToken::content);
  if (found == spec_.added.end()) return std::nullopt;
  return found->id;
}

std::string Tokenizer::decode(std::span<const int64_t> ids) const {
  std::string text;
  for (const int64_t id : ids) {
    const std::string_view bytes = token(id);
    if (!is_special(id)) text += bytes;
  }
  return text;
}

}  // namespace longwave::text
