// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/text/bpe.h"
#include "longwave/text/splitter.h"

namespace longwave::text {

/// A token that stands in the text as it is, before any rule: "<|endoftext|>".
struct AddedToken {
  enum class Match : uint8_t { kRaw, kNormalised };  ///< against the text before or after NFC
  std::string content;
  int64_t id = 0;
  Match match = Match::kRaw;
  bool special = false;  ///< marks something and is not shown
};

/// What a tokenizer.json says, for a byte-level BPE.
struct TokenizerSpec {
  enum class Normal : uint8_t { kNone, kComposed };
  enum class Prefix : uint8_t { kNone, kSpace };   ///< a blank before a text that has none
  enum class Whole : uint8_t { kMerge, kFirst };   ///< look whole words up before merging?
  std::vector<std::optional<std::string>> tokens;  ///< bytes by id; nothing where an id is not used
  std::vector<Merge> merges;
  std::vector<AddedToken> added;
  std::vector<std::string> patterns;  ///< words are cut by each in turn
  std::vector<int64_t> begin;         ///< what stands before a whole text, such as <s>
  Normal normal = Normal::kNone;
  Prefix prefix = Prefix::kNone;
  Whole whole = Whole::kMerge;
};

/// Text to tokens and back.
///
/// Everything is a byte-level byte-pair encoding: the tokenizer of plain bytes is one without
/// merges. Its form on disk is Hugging Face's tokenizer.json, which says all of it.
///
/// Errors     DataError names what a file holds that is wrong or not supported; IoError.
/// Threads    immutable: share it freely.
class Tokenizer {
 public:
  /// 256 tokens, one a byte.
  static Tokenizer bytes();

  /// Reads a tokenizer.json, or a folder that holds one, or GPT-2's vocab.json (or encoder.json)
  /// and merges.txt (or vocab.bpe).
  static Tokenizer load(const std::filesystem::path& path);

  /// Reads the text of a tokenizer.json; `where` names it in messages.
  static Tokenizer parse(std::string json, std::string_view where);

  /// Reads GPT-2's pair of files.
  static Tokenizer parse_gpt2(std::string_view vocabulary, std::string_view merges,
                              std::string_view where);

  /// The text of tokenizer.json, which `parse` reads back.
  const std::string& json() const { return json_; }

  /// One more than the largest id: the vocabulary of a model.
  int64_t size() const { return static_cast<int64_t>(spec_.tokens.size()); }

  /// The tokens of a text; added tokens in it are recognised.
  ///
  /// Errors     DataError if the text holds a byte that the vocabulary lacks.
  std::vector<int64_t> encode(std::string_view text) const;

  /// The tokens of a text from its beginning: with the tokens before it that the model expects.
  std::vector<int64_t> encode_whole(std::string_view text) const;

  /// The text of tokens without the special ones. InvalidArgument if an id is not in the
  /// vocabulary.
  std::string decode(std::span<const int64_t> ids) const;

  /// The bytes of one token, also of a special one; possibly no whole character. Empty for ids that
  /// are not used. InvalidArgument if the id is out of range.
  std::string_view token(int64_t id) const;

  bool is_special(int64_t id) const;

  /// The id of an added token.
  std::optional<int64_t> added(std::string_view content) const;

  const TokenizerSpec& spec() const { return spec_; }

 private:
  Tokenizer(TokenizerSpec spec, std::string json, std::string_view where);

  template <typename Between>
  void cut_at_added(std::string_view text, AddedToken::Match match, std::vector<int64_t>& ids,
                    const Between& between) const;
  void encode_plain(std::string_view text, std::vector<int64_t>& ids) const;
  void encode_word(std::string_view word, std::vector<int64_t>& ids) const;

  TokenizerSpec spec_;
  std::string json_, where_;
  Bpe bpe_;
  std::vector<Splitter> splitters_;
  std::unordered_map<std::string_view, int64_t>
      whole_;                                           // words that are tokens, if looked up first
  std::vector<uint8_t> special_;                        // by id
  std::array<std::vector<size_t>, 256> added_by_byte_;  // indices by first byte, longest first
};

}  // namespace longwave::text
