// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/text/added_tokens.h"
#include "longwave/text/decoder.h"
#include "longwave/text/normaliser.h"
#include "longwave/text/tokenizer_spec.h"
#include "longwave/text/word_cutter.h"
#include "longwave/text/word_model.h"

namespace longwave::text {

/// Text to tokens and back: a byte-pair encoding of bytes or characters, as Hugging Face's
/// tokenizer.json says. The tokenizer of plain bytes is one without merges.
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
  std::vector<int64_t> encode(std::string_view text, Place place = Place::kStart) const;

  /// The tokens of a text that is to be gone on with: with those before it that the model expects.
  std::vector<int64_t> encode_prompt(std::string_view text) const;

  /// The tokens of a whole text: also with those that end it.
  std::vector<int64_t> encode_whole(std::string_view text) const;

  /// The text of tokens without the special ones. InvalidArgument if an id is not in the
  /// vocabulary.
  std::string decode(std::span<const int64_t> ids, Place place = Place::kStart) const;

  /// Adds what `decode` adds for one token more.
  void decode(int64_t id, Decoder::Position& position, std::string& text) const;

  /// The bytes of one token in the middle of a text, also of a special one; possibly no whole
  /// character. Empty for ids that are not used. InvalidArgument if the id is out of range.
  std::string_view token(int64_t id) const;

  bool is_special(int64_t id) const;

  /// The id of an added token.
  std::optional<int64_t> added(std::string_view content) const;

  const TokenizerSpec& spec() const { return spec_; }

 private:
  Tokenizer(TokenizerSpec spec, std::string json, std::string_view where);

  void encode_words(const WordCutter::Words& words, std::vector<int64_t>& ids) const;

  TokenizerSpec spec_;
  std::string json_;
  Normaliser normaliser_;
  AddedTokens raw_, normalised_;
  WordCutter cutter_;
  std::unique_ptr<const WordModel> model_;
  Decoder decoder_;
  std::vector<uint8_t> special_;  // by id
};

}  // namespace longwave::text
