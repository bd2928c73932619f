// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/text/tokenizer.h"

namespace longwave::text {
namespace {

using Ids = std::vector<int64_t>;

Tokenizer whole(const std::string& rest) {
  return Tokenizer::parse(
      R"({"pre_tokenizer":{"type":"Whitespace"},"model":{"type":"WordLevel",)" + rest + "}}",
      "test");
}

Tokenizer pieces(const std::string& rest, const std::string& decoder = R"({"type":"WordPiece"})") {
  return Tokenizer::parse(
      R"({"pre_tokenizer":{"type":"BertPreTokenizer"},"decoder":)" + decoder +
          R"(,"model":{"type":"WordPiece","vocab":{"[UNK]":0,"a":1,"ab":2,"##b":3,"##bc":4,)" +
          R"(".":5,"'":6,"##é":7,"##abc":8})" + rest + "}}",
      "test");
}

TEST(LookupWords, WordsAreTokensOrUnknown) {
  const std::string vocabulary = R"("vocab":{"<unk>":0,"cat":1,"the":3})";
  const Tokenizer tokenizer = whole(vocabulary);
  EXPECT_EQ(tokenizer.encode("the cat, cats"), (Ids{3, 1, 0, 0}));
  EXPECT_EQ(tokenizer.decode(Ids{3, 1, 0}), "the cat <unk>");
  EXPECT_EQ(tokenizer.decode(Ids{2, 3, 2, 1}), "the cat") << "ids without a token show nothing";
  EXPECT_EQ(tokenizer.decode(Ids{1}, Place::kMiddle), " cat");
  EXPECT_EQ(whole(vocabulary + R"(,"unk_token":"cat")").encode("x"), (Ids{1}));
  EXPECT_THROW(static_cast<void>(whole(vocabulary + R"(,"unk_token":"?")").encode("x")), DataError);
}

TEST(LookupWords, PiecesAreTheLongestFromTheLeft) {
  const Tokenizer tokenizer = pieces("");
  EXPECT_EQ(tokenizer.encode("ab abc aabc"), (Ids{2, 0, 1, 8}));
  EXPECT_EQ(tokenizer.encode("abb a.b"), (Ids{2, 3, 1, 5, 0}));
  EXPECT_EQ(tokenizer.encode("a\xc3\xa9"), (Ids{1, 7}));
  EXPECT_EQ(tokenizer.encode("a\xc3 b\xff"), (Ids{0, 0})) << "bytes that are no text";
  EXPECT_EQ(tokenizer.decode(Ids{2, 3, 1, 5}), "abb a.");
  EXPECT_EQ(tokenizer.decode(Ids{3, 3}), "##bb") << "the first token is shown as it is";
  EXPECT_EQ(pieces("", R"({"type":"WordPiece","cleanup":false})").decode(Ids{1, 5}), "a .");
  // As the reference does: every token begins with nothing, so none begins a word.
  EXPECT_EQ(pieces("", R"({"type":"WordPiece","prefix":""})").decode(Ids{1, 3, 2}), "a##bab");
}

TEST(LookupWords, LongWordsAreUnknown) {
  EXPECT_EQ(pieces(R"(,"max_input_chars_per_word":3)").encode("abb abbb"), (Ids{2, 3, 0}));
  EXPECT_EQ(pieces("").encode("a" + std::string(99, 'b')).size(), 99U);
  EXPECT_EQ(pieces("").encode("a" + std::string(100, 'b')), (Ids{0}));
  for (const char* wrong : {"1001", "-1", "1.5", "\"3\"", "18446744073709551615"}) {
    EXPECT_THROW(static_cast<void>(pieces(R"(,"max_input_chars_per_word":)" + std::string(wrong))),
                 DataError);
  }
}

TEST(LookupWords, AddedTokensAreNoWordsOfTheModel) {
  const Tokenizer tokenizer = Tokenizer::parse(
      R"({"pre_tokenizer":{"type":"Whitespace"},"added_tokens":[{"id":2,"content":"dog",)"
      R"("single_word":true}],"model":{"type":"WordLevel","vocab":{"<unk>":0,"cat":1}}})",
      "test");
  EXPECT_EQ(tokenizer.encode("dog cat"), (Ids{2, 1}));
  EXPECT_EQ(tokenizer.encode("hotdog"), (Ids{0}));
}

TEST(LookupWords, BertNormalisesOnRequestOnly) {
  const auto ids = [](const std::string& flags, std::string_view text) {
    return Tokenizer::parse(R"({"normalizer":{"type":"BertNormalizer")" + flags +
                                R"(},"pre_tokenizer":{"type":"WhitespaceSplit"},)"
                                R"("model":{"type":"WordLevel","vocab":{"<unk>":0,"e":1,"E":2,)"
                                R"("é":3,"日":4,"É":5}}})",
                            "test")
        .encode(text);
  };
  EXPECT_EQ(ids("", "\xc3\x89 E\x07 \xe6\x97\xa5\xe6\x97\xa5"), (Ids{1, 1, 4, 4}));
  EXPECT_EQ(ids(R"(,"lowercase":false)", "\xc3\x89 E"), (Ids{5, 2}));
  EXPECT_EQ(ids(R"(,"strip_accents":false)", "\xc3\x89 E"), (Ids{3, 1}));
  EXPECT_EQ(ids(R"(,"lowercase":false,"strip_accents":true)", "\xc3\x89"), (Ids{2}));
  EXPECT_EQ(ids(R"(,"clean_text":false)", "E\x07"), (Ids{0}));
  EXPECT_EQ(ids(R"(,"handle_chinese_chars":false)", "\xe6\x97\xa5\xe6\x97\xa5"), (Ids{0}));
}

}  // namespace
}  // namespace longwave::text
