// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/word_model.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "longwave/base/error.h"
#include "longwave/text/lookup_words.h"
#include "longwave/text/piece_model.h"
#include "longwave/text/spelling.h"
#include "longwave/text/unigram_words.h"
#include "longwave/text/utf8.h"

namespace longwave::text {
namespace {

constexpr int32_t kNone = -1;

/// Merges of bytes or characters.
class MergingWords : public WordModel {
 public:
  MergingWords(const TokenizerSpec& spec, std::string_view where)
      : where_(where),
        alphabet_(spec.model.alphabet),
        unknown_(spec.model.unknown),
        bpe_(spec.model.merges) {
    bytes_.fill(kNone);
    std::unordered_set<int64_t> added;
    for (const AddedToken& token : spec.added) added.insert(token.id);
    for (size_t id = 0; id < spec.tokens.size(); ++id) {
      if (!spec.tokens[id]) continue;
      const std::string_view token = *spec.tokens[id];
      const auto number = static_cast<int32_t>(id);
      if (spec.model.whole == MergeModel::Whole::kFirst) whole_.emplace(token, number);
      if (added.contains(number)) continue;
      if (alphabet_ == MergeModel::Alphabet::kBytes) {
        if (token.size() == 1) bytes_[static_cast<uint8_t>(token.front())] = number;
        continue;
      }
      if (character_length(token) == token.size()) characters_.emplace(token, number);
      const auto byte = named_byte(token);
      if (unknown_.as_bytes && byte) bytes_[static_cast<uint8_t>(*byte)] = number;
    }
  }

  void encode(std::string_view word, std::vector<int64_t>& ids) const override {
    const auto whole = whole_.find(word);
    if (whole != whole_.end()) {
      ids.push_back(whole->second);
      return;
    }
    std::vector<int32_t> parts;
    if (alphabet_ == MergeModel::Alphabet::kBytes) {
      for (const char byte : word) {
        if (!add_bytes({&byte, 1}, parts)) refuse(word, {&byte, 1});
      }
    } else {
      add_characters(word, parts);
    }
    bpe_.encode(parts, ids);
  }

 private:
  /// False, and nothing added, if one of the bytes is no token.
  bool add_bytes(std::string_view bytes, std::vector<int32_t>& parts) const {
    const auto token = [this](char byte) { return bytes_[static_cast<uint8_t>(byte)]; };
    if (std::ranges::any_of(bytes, [&](char byte) { return token(byte) == kNone; })) return false;
    for (const char byte : bytes) parts.push_back(token(byte));
    return true;
  }

  void add_characters(std::string_view word, std::vector<int32_t>& parts) const {
    bool after_unknown = false;
    for (std::string_view rest = word; !rest.empty();) {
      const std::string_view character =
          rest.substr(0, std::max<size_t>(character_length(rest), 1));
      rest.remove_prefix(character.size());
      const auto found = characters_.find(character);
      const bool known = found != characters_.end();
      if (known) parts.push_back(found->second);
      if (known || add_bytes(character, parts)) {
        after_unknown = false;
        continue;
      }
      if (!unknown_.id) refuse(word, character);
      const bool joins = after_unknown && unknown_.runs == Unknown::Runs::kTogether;
      if (!joins) parts.push_back(*unknown_.id);
      after_unknown = true;
    }
  }

  [[noreturn]] void refuse(std::string_view word, std::string_view part) const {
    std::string bytes;
    for (const char byte : part) bytes += " " + std::to_string(static_cast<uint8_t>(byte));
    throw DataError({.where = where_,
                     .what = "the vocabulary has no token for the bytes" + bytes,
                     .got = "\"" + std::string(word.substr(0, kShown)) + "\"",
                     .fix = "leave such characters out, or take a tokenizer with all 256 bytes"});
  }

  static constexpr size_t kShown = 100;
  std::string where_;
  MergeModel::Alphabet alphabet_;
  Unknown unknown_;
  Bpe bpe_;
  std::array<int32_t, 256> bytes_{};
  std::unordered_map<std::string_view, int32_t> characters_;
  std::unordered_map<std::string_view, int32_t> whole_;  // words that are tokens
};

}  // namespace

std::unique_ptr<const WordModel> make_word_model(const TokenizerSpec& spec,
                                                 std::string_view where) {
  if (spec.unigram) return make_unigram_words(spec, where);
  if (spec.lookup) return make_lookup_words(*spec.lookup, where);
  if (!spec.pieces) return std::make_unique<MergingWords>(spec, where);
  const bool merging = spec.pieces->algorithm == PieceModel::Algorithm::kMerging;
  return merging ? make_merging_pieces(spec, where) : make_unigram(spec, where);
}

}  // namespace longwave::text
