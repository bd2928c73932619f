// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// What a tokenizer.model of SentencePiece says.
///
/// Source     google/sentencepiece, sentencepiece_model.proto.
struct SentencePieceFile {
  struct Piece {
    std::string text;
    float score = 0;
    PieceModel::Type type = PieceModel::Type::kNormal;
    bool operator==(const Piece&) const = default;
  };
  PieceModel::Algorithm algorithm = PieceModel::Algorithm::kUnigram;
  std::vector<Piece> pieces;  ///< by id
  bool byte_fallback = false;
  std::string unknown_text = " \xe2\x81\x87 ";  ///< what the unknown piece is shown as
  std::string begin_piece = "<s>", end_piece = "</s>";
  PieceNormal normal;
  bool operator==(const SentencePieceFile&) const = default;
};

/// Reads the file; `where` names it in messages.
///
/// Errors     DataError for what is damaged, and for what is not supported by its name: models of
///            words or characters, blanks behind words, texts that are changed back.
SentencePieceFile parse_sentencepiece(std::string_view file, std::string_view where);

/// The bytes of a file that `parse_sentencepiece` and SentencePiece read.
std::string format_sentencepiece(const SentencePieceFile& file);

/// The tokenizer that it describes. Control pieces are found in text, as templates of conversations
/// print them; a whole text begins with the piece for that.
///
/// Errors     DataError if the pieces make no sense: none, two alike, more than one that is
/// unknown,
///            not all bytes.
TokenizerSpec spec_of(const SentencePieceFile& file, std::string_view where);

}  // namespace longwave::text
