// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/text/charsmap.h"
#include "longwave/text/protobuf_reader.h"
#include "longwave/text/sentencepiece_file.h"
#include "longwave/text/testing/fuzz_targets.h"
#include "longwave/text/tokenizer.h"

namespace longwave::text {
namespace {

using longwave::testing::message_of;
using longwave::testing::small_pieces;
using Algorithm = PieceModel::Algorithm;
using Ids = std::vector<int64_t>;
using Type = PieceModel::Type;

std::string refusal(const std::string& bytes) {
  return message_of<DataError>([&] { Tokenizer::parse_pieces(bytes, "m.model"); });
}

std::string refusal(const SentencePieceFile& file) { return refusal(format_sentencepiece(file)); }

TEST(Protobuf, FieldsSurviveARoundTrip) {
  std::string message;
  put_varint(message, 1, 300);
  put_float(message, 2, -1.5F);
  put_bytes(message, 99, "abc");
  put_varint(message, 3, ~uint64_t{0});
  ProtobufReader reader(message, "test");
  EXPECT_EQ(reader.next()->value, 300u);
  EXPECT_EQ(reader.next()->value, 0xBFC00000u);
  const auto bytes = reader.next();
  EXPECT_EQ(bytes->number, 99u);
  EXPECT_EQ(bytes->bytes, "abc");
  EXPECT_EQ(reader.next()->value, ~uint64_t{0});
  EXPECT_FALSE(reader.next().has_value());
}

TEST(Protobuf, DamageIsRefused) {
  const auto read_all = [](std::string_view message) {
    ProtobufReader reader(message, "test");
    while (reader.next()) {
    }
  };
  // Cut off, a length beyond the end, a group, a number without an end, kinds 6 and 7.
  for (const std::string& bad :
       {std::string("\x08"),
        std::string("\x0a\x05"
                    "ab"),
        std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), std::string("\x0b"),
        std::string("\x08") + std::string(11, '\x80'), std::string("\x0e"), std::string("\x0f"),
        std::string("\x0d\x01\x02"), std::string("\x09\x01\x02")}) {
    EXPECT_THROW(read_all(bad), DataError);
  }
}

TEST(SentencePiece, UnusedPiecesAreTakenApart) {
  SentencePieceFile file = small_pieces(Algorithm::kMerging);
  file.normal = {.charsmap = {}, .blank_first = false, .single_blanks = false};
  EXPECT_EQ(Tokenizer::parse_pieces(format_sentencepiece(file), "m").encode("oc"), (Ids{5, 6}));
  file.pieces[7].type = Type::kNormal;
  EXPECT_EQ(Tokenizer::parse_pieces(format_sentencepiece(file), "m").encode("oc"), (Ids{7}));
}

TEST(SentencePiece, CharactersAreMappedAndPiecesOfTheUserStay) {
  for (const Algorithm algorithm : {Algorithm::kMerging, Algorithm::kUnigram}) {
    SentencePieceFile file = small_pieces(algorithm);
    const Tokenizer tokenizer = Tokenizer::parse_pieces(format_sentencepiece(file), "m");
    const int64_t b = 9 + 'b';
    EXPECT_EQ(tokenizer.encode("  a  c "), (Ids{4, b, 6, 4, 6}));
    EXPECT_EQ(tokenizer.encode("c<|x|>c"), (Ids{4, 6, 3, 6}));
    EXPECT_EQ(tokenizer.decode(Ids{1, 4, 6, 0, 3, 2}), "c \xe2\x81\x87 <|x|>");
    EXPECT_EQ(tokenizer.added("<|x|>"), 3);
  }
}

TEST(SentencePiece, AFolderWithoutTokenizerJsonWorks) {
  const testing::TemporaryFolder folder;
  const std::string model = format_sentencepiece(small_pieces(Algorithm::kMerging));
  io::write_file_atomically(folder.path() / "tokenizer.model", model);
  const auto tokenizer = Tokenizer::find(folder.path());
  ASSERT_TRUE(tokenizer.has_value());
  EXPECT_EQ(tokenizer->encode_whole("c"), (Ids{1, 4, 6}));
  EXPECT_TRUE(tokenizer->is_end(2));
  EXPECT_EQ(tokenizer->files(), (std::vector<StoredFile>{{"tokenizer.model", model}}));
  EXPECT_EQ(Tokenizer::load(folder.path() / "tokenizer.model").encode("c"), (Ids{4, 6}));
}

TEST(SentencePiece, WhatIsWrongIsNamed) {
  const auto expect = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find("m.model"), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  const SentencePieceFile good = small_pieces(Algorithm::kMerging);
  SentencePieceFile file = good;
  file.pieces[5].text = "c";
  expect(refusal(file), "alike");
  file = good;
  file.pieces[5].text.clear();
  expect(refusal(file), "empty");
  file = good;
  file.pieces[5].type = Type::kUnknown;
  expect(refusal(file), "two pieces are unknown");
  file = good;
  file.pieces[5].type = Type::kByte;
  expect(refusal(file), "names none");
  file = good;
  file.pieces[5].score = std::numeric_limits<float>::quiet_NaN();
  expect(refusal(file), "finite score");
  file = good;
  file.pieces.pop_back();
  expect(refusal(file), "not 256");
  file = good;
  file.pieces[0].type = Type::kNormal;
  file.byte_fallback = false;
  expect(refusal(file), "no piece is unknown");
  file = good;
  file.normal.charsmap = "\x01";
  expect(refusal(file), "charsmap");
  expect(refusal(std::string()), "no pieces");
  expect(refusal("bm9u 0\nYWI= 1\n"), "m.model");
  std::string trainer, model;
  put_varint(trainer, 3, 4);
  put_bytes(model, 2, trainer);
  expect(refusal(model), "only models of type unigram and bpe");
  trainer.clear();
  model.clear();
  put_varint(trainer, 24, 1);
  put_bytes(model, 2, trainer);
  expect(refusal(model), "treat_whitespace_as_suffix");
}

/// Everything that a map says lies in it, whatever it says.
TEST(Charsmap, DamagedMapsReadNothingOutside) {
  Random random(3);
  const std::string map = small_pieces(Algorithm::kMerging).normal.charsmap;
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = map;
    for (int i = 0; i < 20; ++i) {
      const auto place = 4 + random.integer(static_cast<int64_t>(damaged.size()) - 4);
      damaged[static_cast<size_t>(place)] = static_cast<char>(random.integer(256));
    }
    const Charsmap read(damaged, "m");
    for (const std::string_view text : {"a", "aaaa", "\xff\xfe", "b"}) {
      const auto found = read.at_front(text);
      EXPECT_LE(found ? found->length : 0, text.size());
    }
  }
}

}  // namespace
}  // namespace longwave::text
