// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/tokenizer_json.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/text/base64.h"
#include "longwave/text/testing/fuzz_targets.h"
#include "longwave/text/tokenizer.h"

namespace longwave::text {
namespace {

using Ids = std::vector<int64_t>;
using testing::base64_of;

TEST(Base64, SpellsBytesOrNone) {
  EXPECT_EQ(bytes_of_base64(""), "");
  EXPECT_EQ(bytes_of_base64("YQ=="), "a");
  EXPECT_EQ(bytes_of_base64("YWI="), "ab");
  EXPECT_EQ(bytes_of_base64("/+8A"), std::string("\xff\xef\0", 3));
  for (const char* wrong : {"YQ", "Y===", "YR==", "Y Q=", "YQ==YQ=="}) {
    EXPECT_EQ(bytes_of_base64(wrong), std::nullopt) << wrong;
  }
}

TEST(TokenizerJson, ReadsBothFormsOfMergesAndEveryCorrectPart) {
  const auto file = [](const std::string& rest, const std::string& merges) {
    return R"({"normalizer":{"type":"NFC"},"decoder":{"type":"ByteLevel"},)"
           R"("post_processor":{"type":"ByteLevel"},)" +
           rest + R"("model":{"vocab":{"a":0,"b":1,"ab":2,"1":3,"Ġ":4},"merges":)" + merges + "}}";
  };
  const std::string byte_level =
      R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)";
  for (const char* merges : {R"(["a b"])", R"([["a","b"]])"}) {
    const Tokenizer tokenizer = Tokenizer::parse(file(byte_level, merges), "test");
    EXPECT_EQ(tokenizer.encode("abab 11"), (Ids{2, 2, 4, 3, 3}));
    EXPECT_THROW(static_cast<void>(tokenizer.encode("z")), DataError);
  }
  const Tokenizer prefixed =
      Tokenizer::parse(file(R"("pre_tokenizer":{"type":"ByteLevel"},)", "[]"), "test");
  EXPECT_EQ(prefixed.encode("a"), (Ids{4, 0}));
  EXPECT_EQ(prefixed.encode(" a"), (Ids{4, 0}));
}

TEST(TokenizerJson, TemplatesPutTokensBeforeAText) {
  const auto file = [](const std::string& single) {
    return R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"post_processor":)"
           R"({"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"TemplateProcessing",)"
           R"("single":[)" +
           single +
           R"(],"special_tokens":{"<s>":{"id":"<s>","ids":[1]},"far":{"id":"far","ids":[2]}}}]},)"
           R"("added_tokens":[{"id":1,"content":"<s>","special":true}],)"
           R"("model":{"vocab":{"a":0},"merges":[]}})";
  };
  const std::string text = R"({"Sequence":{"id":"A"}})", begin = R"({"SpecialToken":{"id":"<s>"}})";
  const Tokenizer tokenizer = Tokenizer::parse(file(begin + "," + text), "test");
  EXPECT_EQ(tokenizer.encode_whole("aa"), (Ids{1, 0, 0}));
  EXPECT_EQ(tokenizer.encode("aa"), (Ids{0, 0}));
  EXPECT_EQ(Tokenizer::parse(file(text), "test").encode_whole("a"), (Ids{0}));
  const Tokenizer closing = Tokenizer::parse(file(begin + "," + text + "," + begin), "test");
  EXPECT_EQ(closing.encode_whole("a"), (Ids{1, 0, 1}));
  EXPECT_EQ(closing.encode_prompt("a"), (Ids{1, 0}));
  for (const std::string& wrong :
       {std::string(R"({"SpecialToken":{"id":"far"}})"),
        std::string(R"({"SpecialToken":{"id":"none"}})"), std::string("3")}) {
    EXPECT_THROW(static_cast<void>(Tokenizer::parse(file(wrong), "test")), DataError) << wrong;
  }
}

TEST(TokenizerJson, NamesWhatIsNotSupported) {
  const auto refuses = [](const std::string& json, const std::string& word) {
    try {
      static_cast<void>(Tokenizer::parse(json, "t.json"));
      ADD_FAILURE() << "accepted " << json;
    } catch (const DataError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find("t.json"), std::string::npos);
      EXPECT_NE(message.find(word), std::string::npos) << message;
    }
  };
  const std::string model = R"("model":{"vocab":{"a":0},"merges":[]})";
  const std::string byte_level = R"("pre_tokenizer":{"type":"ByteLevel"},)";
  refuses("", "JSON");
  refuses("[]", "object");
  refuses(R"({"model":{"type":"WordPiece"}})", "object");
  refuses(R"({"model":{"type":"Characters"}})", "Characters");
  refuses(R"({"model":{"vocab":{"a":0},"merges":[],"unk_token":"?"}})", "unk_token");
  refuses(R"({"model":{"vocab":{"a":0},"merges":["a b"]}})", "\"b\"");
  refuses(R"({"model":{"vocab":{"a":0,"b":0},"merges":[]}})", "same id");
  refuses(R"({"model":{"vocab":{"a":-1},"merges":[]}})", "out of range");
  refuses(R"({"model":{"vocab":{"a":99999999999},"merges":[]}})", "out of range");
  refuses(R"({"model":{"vocab":{"a":1e999},"merges":[]}})", "JSON");
  refuses(R"({"pre_tokenizer":{"type":"UnicodeScripts"},)" + model + "}", "UnicodeScripts");
  refuses(R"({"pre_tokenizer":{"type":"CharDelimiterSplit","delimiter":""},)" + model + "}",
          "empty");
  refuses(R"({"pre_tokenizer":{"type":"Metaspace","replacement":""},)" + model + "}", "empty");
  refuses(R"({"decoder":{"type":"CTC"},)" + model + "}", "CTC");
  refuses(R"({"pre_tokenizer":{"type":"FixedLength","length":0},)" + model + "}", "length");
  refuses(
      R"({"decoder":{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]},)" +
          model + "}",
      "ByteFallback at this place");
  refuses("{" + byte_level + R"("model":{"type":"WordLevel","vocab":{"a":0}}})", "ByteLevel");
  refuses("{" + byte_level + R"("normalizer":{"type":"Precompiled"},)" + model + "}", "charsmap");
  refuses("{" + byte_level + R"("decoder":{"type":"WordPiece"},)" + model + "}", "WordPiece");
  refuses("{" + byte_level + R"("post_processor":{"type":"BertProcessing"},)" + model + "}",
          "post_processor.cls");
  refuses("{" + byte_level + R"("post_processor":{"type":"RobertaProcessing","cls":["<s>",0],)" +
              R"("sep":["</s>",9]},)" + model + "}",
          "post_processor.sep");
  refuses("{" + byte_level + R"("model":{"type":"Unigram","vocab":[["a",0]]}})", "ByteLevel");
  const auto unigram = [](const std::string& rest) {
    return R"({"decoder":{"type":"Fuse"},"model":{"type":"Unigram",)" + rest + "}}";
  };
  refuses(unigram(R"("vocab":[])"), "empty");
  refuses(unigram(R"("vocab":{"a":0})"), "list of pieces");
  refuses(unigram(R"("vocab":[["a"]])"), "a text and a score");
  refuses(unigram(R"("vocab":[["a",0]],"unk_id":1)"), "unk_id");
  refuses(unigram(R"("vocab":[["a",0]],"nbest_size":4)"), "nbest_size");
}

/// A map of characters that makes "bc" of "a", in base64, and a tokenizer that uses it.
std::string mapped(std::string map) {
  if (map.empty()) {
    map = base64_of(testing::small_pieces(PieceModel::Algorithm::kUnigram).normal.charsmap);
  }
  return R"({"normalizer":{"type":"Precompiled","precompiled_charsmap":")" + map +
         R"("},"decoder":{"type":"Fuse"},)"
         R"("model":{"unk_id":0,"vocab":[["?",0],["a",-1],["b",-1],["bc",-1.5],["c",-1]]}})";
}

TEST(TokenizerJson, PrecompiledMapsCharactersAndWhatIsSeenAsOne) {
  const Tokenizer tokenizer = Tokenizer::parse(mapped(""), "test");
  EXPECT_EQ(tokenizer.encode("a"), (Ids{3}));
  EXPECT_EQ(tokenizer.encode("cab"), (Ids{4, 3, 2}));
  // A mark on a letter that is replaced is lost: both were looked up as one.
  EXPECT_EQ(tokenizer.encode("a\xcc\x81"), (Ids{3}));
  // Two of them make six bytes and more, which are looked up one by one.
  EXPECT_EQ(tokenizer.encode("a\xcc\x81\xcc\x81\xcc\x81"), (Ids{3, 0}));
}

TEST(TokenizerJson, DamagedMapsAreRefusedOrHarmless) {
  EXPECT_THROW(static_cast<void>(Tokenizer::parse(mapped("A"), "test")), DataError);
  EXPECT_THROW(static_cast<void>(Tokenizer::parse(mapped("AAAA"), "test")), DataError);
  EXPECT_THROW(static_cast<void>(Tokenizer::parse(mapped("/////wAA"), "test")), DataError);
  const std::string whole = testing::small_pieces(PieceModel::Algorithm::kUnigram).normal.charsmap;
  Random random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string map = whole;
    for (int change = 0; change < 3; ++change) {
      const auto place = static_cast<size_t>(random.integer(static_cast<int64_t>(map.size())));
      map[place] = static_cast<char>(random.integer(256));
    }
    try {
      const Tokenizer tokenizer = Tokenizer::parse(mapped(base64_of(map)), "test");
      static_cast<void>(tokenizer.encode("aa\xcc\x81 abcabc \xff"));
    } catch (const DataError&) {
    }
  }
}

TEST(TokenizerJson, UnigramTakesTheBestSumOfScores) {
  const auto tokens = [](const std::string& rest, std::string_view text) {
    return Tokenizer::parse(
               R"({"decoder":{"type":"Fuse"},"model":{"type":"Unigram",)" + rest + "}}", "test")
        .encode(text);
  };
  const std::string vocabulary =
      R"("vocab":[["?",0],["a",-1],["b",-1],["ab",-2.5],["ba",-1.5],["<0x7A>",-9],["a",-1]])";
  // "a", the later of two that are alike, and "ba" against "ab" and "a".
  EXPECT_EQ(tokens(vocabulary + R"(,"unk_id":0)", "aba"), (Ids{6, 4}));
  EXPECT_EQ(tokens(vocabulary + R"(,"unk_id":0)", "xyaz"), (Ids{0, 6, 0}));
  EXPECT_EQ(tokens(vocabulary + R"(,"unk_id":0,"byte_fallback":true)", "xyazz"), (Ids{0, 6, 5, 5}));
  EXPECT_THROW(static_cast<void>(tokens(vocabulary, "x")), DataError);
}

TEST(TokenizerJson, AddedTokensTakeBlanksAndStandAlone) {
  const auto ids = [](const std::string& flags, std::string_view text) {
    const Tokenizer tokenizer = Tokenizer::parse(
        R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},)"
        R"("added_tokens":[{"id":9,"content":"m","normalized":false,)" +
            flags + R"(}],"model":{"vocab":{"a":0,"Ġ":1,"b":2,"é":3,"Ã":4,"©":5},"merges":[]}})",
        "test");
    return tokenizer.encode(text);
  };
  const std::string plain = R"("special":true)";
  EXPECT_EQ(ids(plain, "a m b"), (Ids{0, 1, 9, 1, 2}));
  EXPECT_EQ(ids(R"("lstrip":true)", "a  m b"), (Ids{0, 9, 1, 2}));
  EXPECT_EQ(ids(R"("rstrip":true)", "a m  b"), (Ids{0, 1, 9, 2}));
  EXPECT_EQ(ids(R"("lstrip":true,"rstrip":true)", " m  m "), (Ids{9, 9}));
  EXPECT_EQ(ids(R"("single_word":true)", "m b m"), (Ids{9, 1, 2, 1, 9}));
  EXPECT_THROW(static_cast<void>(ids(R"("single_word":true)", "am")), DataError) << "no token";
  EXPECT_THROW(static_cast<void>(ids(R"("single_word":true)", "m\xc3\xa9")), DataError);
}

TEST(TokenizerJson, StepsCannotMakeTextsWithoutEnd) {
  const auto repeat = [](const std::string& step) {
    std::string steps = step;
    for (int i = 0; i < 60; ++i) steps += "," + step;
    return steps;
  };
  const std::string twice = R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  const std::string model = R"("model":{"vocab":{"a":0},"merges":[]})";
  const Tokenizer grows = Tokenizer::parse(
      R"({"normalizer":{"type":"Sequence","normalizers":[)" + repeat(twice) +
          R"(]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)" + model + "}",
      "t.json");
  EXPECT_THROW(static_cast<void>(grows.encode("a")), DataError);
  const Tokenizer bytes = Tokenizer::parse(
      R"({"normalizer":{"type":"Sequence","normalizers":[)" + repeat(R"({"type":"ByteLevel"})") +
          R"(]},"model":{"type":"WordLevel","vocab":{"a":0}}})",
      "t.json");
  EXPECT_THROW(static_cast<void>(bytes.encode("\xff")), DataError);
  EXPECT_THROW(
      static_cast<void>(Tokenizer::parse(R"({"decoder":{"type":"Sequence","decoders":[)" +
                                             repeat(twice) + R"(,{"type":"Fuse"}]},)" + model + "}",
                                         "t.json")),
      DataError);
}

}  // namespace
}  // namespace longwave::text
