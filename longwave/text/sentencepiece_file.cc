// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/sentencepiece_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <unordered_set>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/text/json_reader.h"
#include "longwave/text/protobuf_reader.h"
#include "longwave/text/spelling.h"

namespace longwave::text {
namespace {

using Piece = SentencePieceFile::Piece;
using Type = PieceModel::Type;
using Algorithm = PieceModel::Algorithm;

/// Numbers of fields, by message.
struct ModelField {
  enum : uint64_t { kPieces = 1, kTrainer = 2, kNormaliser = 3, kDenormaliser = 5 };
};
struct PieceField {
  enum : uint64_t { kText = 1, kScore = 2, kType = 3 };
};
struct TrainerField {
  enum : uint64_t {
    kAlgorithm = 3,
    kVocabulary = 4,
    kBlanksBehind = 24,
    kByteFallback = 35,
    kUnknownText = 44,
    kBegin = 46,
    kEnd = 47
  };
};
struct NormaliserField {
  enum : uint64_t { kCharsmap = 2, kPrefix = 3, kOneBlank = 4, kMarks = 5 };
};

[[noreturn]] void refuse(std::string_view where, std::string what, std::string got,
                         std::string fix = {}) {
  throw DataError({.where = std::string(where),
                   .what = std::move(what),
                   .got = std::move(got),
                   .fix = std::move(fix)});
}

Piece parse_piece(std::string_view message, std::string_view where) {
  Piece piece;
  ProtobufReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == PieceField::kText) piece.text = field->bytes;
    if (field->number == PieceField::kScore) {
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field->value));
    }
    if (field->number != PieceField::kType) continue;
    if (field->value < static_cast<uint64_t>(Type::kNormal) ||
        field->value > static_cast<uint64_t>(Type::kByte)) {
      refuse(where, "a piece is of an unknown type", std::to_string(field->value));
    }
    piece.type = static_cast<Type>(field->value);
  }
  return piece;
}

void parse_trainer(std::string_view message, std::string_view where, SentencePieceFile& file) {
  ProtobufReader reader(message, where);
  while (const auto field = reader.next()) {
    switch (field->number) {
      case TrainerField::kAlgorithm:
        if (field->value != 1 && field->value != 2) {
          refuse(where, "only models of type unigram and bpe are supported",
                 "type " + std::to_string(field->value));
        }
        file.algorithm = field->value == 1 ? Algorithm::kUnigram : Algorithm::kMerging;
        break;
      case TrainerField::kBlanksBehind:
        if (field->value != 0) refuse(where, "treat_whitespace_as_suffix is not supported", "true");
        break;
      case TrainerField::kByteFallback:
        file.byte_fallback = field->value != 0;
        break;
      case TrainerField::kUnknownText:
        file.unknown_text = field->bytes;
        break;
      case TrainerField::kBegin:
        file.begin_piece = field->bytes;
        break;
      case TrainerField::kEnd:
        file.end_piece = field->bytes;
        break;
      default:
        break;
    }
  }
}

PieceNormal parse_normaliser(std::string_view message, std::string_view where) {
  PieceNormal normal;
  ProtobufReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == NormaliserField::kCharsmap) normal.charsmap = field->bytes;
    if (field->number == NormaliserField::kPrefix) normal.blank_first = field->value != 0;
    if (field->number == NormaliserField::kOneBlank) normal.single_blanks = field->value != 0;
    if (field->number == NormaliserField::kMarks) normal.marks = field->value != 0;
  }
  return normal;
}

void check_pieces(const SentencePieceFile& file, std::string_view where) {
  if (file.pieces.empty()) refuse(where, "the model has no pieces", {});
  if (file.pieces.size() > static_cast<size_t>(kMostTokens)) {
    refuse(where, "the model has too many pieces", std::to_string(file.pieces.size()));
  }
  std::unordered_set<std::string_view> seen;
  for (const Piece& piece : file.pieces) {
    if (piece.text.empty()) refuse(where, "a piece is empty", {});
    if (!std::isfinite(piece.score)) refuse(where, "a piece has no finite score", piece.text);
    if (!seen.insert(piece.text).second) refuse(where, "two pieces are alike", piece.text);
  }
}

}  // namespace

SentencePieceFile parse_sentencepiece(std::string_view bytes, std::string_view where) {
  SentencePieceFile file;
  ProtobufReader reader(bytes, where);
  while (const auto field = reader.next()) {
    const bool message = field->kind == ProtobufField::Kind::kBytes;
    if (field->number <= ModelField::kDenormaliser && !message) {
      refuse(where, "this is no model of SentencePiece", "a number for a message");
    }
    if (field->number == ModelField::kPieces)
      file.pieces.push_back(parse_piece(field->bytes, where));
    if (field->number == ModelField::kTrainer) parse_trainer(field->bytes, where, file);
    if (field->number == ModelField::kNormaliser)
      file.normal = parse_normaliser(field->bytes, where);
    if (field->number == ModelField::kDenormaliser &&
        !parse_normaliser(field->bytes, where).charsmap.empty()) {
      refuse(where, "a denormalizer is not supported", {});
    }
  }
  check_pieces(file, where);
  return file;
}

std::string format_sentencepiece(const SentencePieceFile& file) {
  std::string model, trainer, normaliser;
  for (const Piece& piece : file.pieces) {
    std::string message;
    put_bytes(message, PieceField::kText, piece.text);
    put_float(message, PieceField::kScore, piece.score);
    put_varint(message, PieceField::kType, static_cast<uint64_t>(piece.type));
    put_bytes(model, ModelField::kPieces, message);
  }
  put_varint(trainer, TrainerField::kAlgorithm, file.algorithm == Algorithm::kUnigram ? 1 : 2);
  put_varint(trainer, TrainerField::kVocabulary, file.pieces.size());
  put_varint(trainer, TrainerField::kByteFallback, file.byte_fallback ? 1 : 0);
  put_bytes(trainer, TrainerField::kUnknownText, file.unknown_text);
  put_bytes(trainer, TrainerField::kBegin, file.begin_piece);
  put_bytes(trainer, TrainerField::kEnd, file.end_piece);
  put_bytes(model, ModelField::kTrainer, trainer);
  put_bytes(normaliser, NormaliserField::kCharsmap, file.normal.charsmap);
  put_varint(normaliser, NormaliserField::kPrefix, file.normal.blank_first ? 1 : 0);
  put_varint(normaliser, NormaliserField::kOneBlank, file.normal.single_blanks ? 1 : 0);
  put_varint(normaliser, NormaliserField::kMarks, file.normal.marks ? 1 : 0);
  put_bytes(model, ModelField::kNormaliser, normaliser);
  return model;
}

TokenizerSpec spec_of(const SentencePieceFile& file, std::string_view where) {
  TokenizerSpec spec;
  PieceModel model;
  model.algorithm = file.algorithm;
  std::array<bool, 256> bytes{};
  for (size_t id = 0; id < file.pieces.size(); ++id) {
    const Piece& piece = file.pieces[id];
    spec.tokens.emplace_back(piece.text);
    model.pieces.push_back({piece.score, piece.type});
    if (piece.type == Type::kControl || piece.type == Type::kUserDefined) {
      const bool control = piece.type == Type::kControl;
      if (control && piece.text == file.begin_piece) spec.begin = {static_cast<int64_t>(id)};
      if (control && piece.text == file.end_piece) spec.ends = {static_cast<int64_t>(id)};
      spec.added.push_back(
          {.content = piece.text,
           .id = static_cast<int64_t>(id),
           .match = control ? AddedToken::Match::kRaw : AddedToken::Match::kInWords,
           .special = control});
    } else if (piece.type == Type::kUnknown) {
      if (model.unknown.id) refuse(where, "two pieces are unknown", piece.text);
      model.unknown.id = static_cast<int32_t>(id);
    } else if (piece.type == Type::kByte) {
      const auto byte = named_byte(piece.text);
      if (!byte) refuse(where, "a piece of a byte names none", piece.text);
      bytes[static_cast<uint8_t>(*byte)] = true;
    }
  }
  model.unknown.as_bytes = file.byte_fallback;
  model.unknown.runs = Unknown::Runs::kTogether;
  if (file.byte_fallback && std::ranges::count(bytes, true) != 256) {
    refuse(where, "there are not 256 pieces of bytes, though byte_fallback is true",
           std::to_string(std::ranges::count(bytes, true)));
  }
  if (!file.byte_fallback && !model.unknown.id) refuse(where, "no piece is unknown", {});
  spec.pieces = std::move(model);
  spec.normal.emplace_back(file.normal);
  spec.decode.unknown_text = file.unknown_text;
  if (file.normal.single_blanks) {
    spec.decode.leading = DecodeSpec::Leading::kFirstVisible;
  } else if (file.normal.blank_first) {
    spec.decode.leading = DecodeSpec::Leading::kFirstToken;
  }
  return spec;
}

}  // namespace longwave::text
