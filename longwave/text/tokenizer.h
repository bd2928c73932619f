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
#include "longwave/text/token_settings.h"
#include "longwave/text/tokenizer_spec.h"
#include "longwave/text/word_cutter.h"
#include "longwave/text/word_model.h"

namespace longwave::text {

/// Text to tokens and back: what Hugging Face's tokenizer.json says (byte-pair encodings of bytes
/// or characters, Unigram, WordPiece, WordLevel), or the pieces of a SentencePiece model. The
/// tokenizer of plain bytes is an encoding without merges.
///
/// Errors     DataError names what a file holds that is wrong or not supported; IoError.
/// Threads    immutable: share it freely.
class Tokenizer {
 public:
  /// 256 tokens, one a byte.
  static Tokenizer bytes();

  /// Reads a tokenizer.json, a SentencePiece model (*.model), or a folder as `find`.
  static Tokenizer load(const std::filesystem::path& path);

  /// The tokenizer in a folder, as the settings beside it say: a tokenizer.json, else a
  /// tokenizer.model (or spiece.model), else GPT-2's vocab.json (or encoder.json) and merges.txt
  /// (or vocab.bpe); nothing if there is none.
  static std::optional<Tokenizer> find(const std::filesystem::path& folder);

  /// Reads the text of a tokenizer.json; `where` names it in messages.
  static Tokenizer parse(std::string json, std::string_view where,
                         const TokenSettings& settings = {});

  /// Reads the bytes of a SentencePiece model.
  static Tokenizer parse_pieces(std::string model, std::string_view where,
                                const TokenSettings& settings = {});

  /// Reads GPT-2's pair of files.
  static Tokenizer parse_gpt2(std::string_view vocabulary, std::string_view merges,
                              std::string_view where, const TokenSettings& settings = {});

  /// What `find` reads back from a folder: first tokenizer.json or tokenizer.model, then the
  /// settings, if there are any.
  const std::vector<StoredFile>& files() const { return files_; }

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

  /// Does the token end a text that a model makes? Special tokens do, and those that the settings
  /// name.
  bool is_end(int64_t id) const;

  /// The id of an added token, also of a piece that the user of SentencePiece defined.
  std::optional<int64_t> added(std::string_view content) const;

  const TokenizerSpec& spec() const { return spec_; }

 private:
  Tokenizer(TokenizerSpec spec, StoredFile file, std::string_view where,
            const TokenSettings& settings);

  void encode_words(const WordCutter::Words& words, std::vector<int64_t>& ids) const;

  TokenizerSpec spec_;
  std::vector<StoredFile> files_;
  Normaliser normaliser_;
  AddedTokens raw_, normalised_;
  WordCutter cutter_;
  std::unique_ptr<const WordModel> model_;
  Decoder decoder_;
  std::vector<uint8_t> special_;  // by id
};

}  // namespace longwave::text
