// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/text/bpe_train.h"
#include "longwave/text/byte_level.h"
#include "longwave/text/normal_form.h"
#include "longwave/text/splitter.h"
#include "longwave/text/stream_decoder.h"
#include "longwave/text/utf8.h"

namespace longwave::text {
namespace {

using Ids = std::vector<int64_t>;

std::string random_text(Random& random, bool any_byte) {
  static const std::vector<std::string> kParts = {"the",
                                                  " cat",
                                                  "'s",
                                                  "  ",
                                                  "\n",
                                                  "12",
                                                  "\xc3\xa9",
                                                  "e\xcc\x81",
                                                  "\xe6\x97\xa5",
                                                  "\xf0\x9f\x98\x80",
                                                  "<|x|>",
                                                  "!?",
                                                  "a",
                                                  "b"};
  std::string text;
  const int64_t count = random.integer(30);
  for (int64_t i = 0; i < count; ++i) {
    const bool raw = any_byte && random.integer(4) == 0;
    text += raw ? std::string(1, static_cast<char>(random.integer(256)))
                : kParts[static_cast<size_t>(random.integer(static_cast<int64_t>(kParts.size())))];
  }
  return text;
}

Tokenizer trained(int64_t vocabulary = 300) {
  static constexpr std::string_view kText =
      "the cat and the hat and the rat that the cat had sat on, aaaa aaaaa b aaab 1212 1212";
  const std::string_view texts[] = {kText};
  return train_bpe(texts, {.vocabulary = vocabulary, .special = {"<|x|>"}});
}

std::string spelt(const Tokenizer& tokenizer, const Ids& ids) {
  std::string text;
  for (const int64_t id : ids) text += tokenizer.token(id);
  return text;
}

TEST(Utf8, CharactersSurviveARoundTrip) {
  for (const char32_t number :
       {0x1U, 0x7FU, 0x80U, 0x7FFU, 0x800U, 0xD7FFU, 0xE000U, 0xFFFFU, 0x10000U, 0x10FFFFU}) {
    std::string text;
    append_character(text, number);
    EXPECT_EQ(character_length(text), text.size());
    EXPECT_EQ(character(text), number);
    for (size_t cut = 1; cut < text.size(); ++cut) {
      EXPECT_EQ(character_length(text.substr(0, cut)), 0u);
      EXPECT_EQ(whole_characters("ab" + text.substr(0, cut)), 2u);
    }
  }
  // Overlong, surrogate, too large, a lone continuation.
  for (const char* bad : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"}) {
    EXPECT_EQ(character_length(bad), 0u);
    EXPECT_EQ(whole_characters(bad), std::string(bad).size()) << "never becomes a character";
  }
}

TEST(ByteLevel, EveryByteHasItsCharacter) {
  EXPECT_EQ(byte_characters()['A'], "A");
  EXPECT_EQ(byte_characters()[' '], "\xc4\xa0");   // U+0120
  EXPECT_EQ(byte_characters()['\n'], "\xc4\x8a");  // U+010A
  EXPECT_EQ(byte_characters()[0xAD], "\xc5\x83");  // U+0143, the last
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(bytes_of_characters(characters_of_bytes(all)), all);
  EXPECT_EQ(bytes_of_characters(" "), std::nullopt);
}

TEST(Splitter, CutsAsGpt2Does) {
  const Splitter splitter(kWordPattern, "test");
  const auto cut = [&splitter](std::string_view text) {
    std::vector<std::string_view> pieces;
    splitter.split(text, pieces);
    return pieces;
  };
  using Pieces = std::vector<std::string_view>;
  EXPECT_EQ(cut("It's 12  o'clock!\n\n x"),
            (Pieces{"It", "'s", " 12", " ", " o", "'", "clock", "!", "\n\n", " x"}));
  EXPECT_EQ(cut("caf\xc3\xa9  "), (Pieces{"caf\xc3\xa9", "  "}));
  EXPECT_EQ(cut("a\xff\xfe b"), (Pieces{"a", "\xff\xfe", " b"}));
  EXPECT_TRUE(cut("").empty());
}

TEST(Splitter, RefusesWhatItCannotDo) {
  EXPECT_THROW(Splitter("(", "test"), DataError);
  EXPECT_THROW(Splitter("[a&&[b]]", "test"), DataError);
  const Splitter slow("(a+)+$", "test");
  std::vector<std::string_view> pieces;
  const std::string text = std::string(40, 'a') + "b";
  EXPECT_THROW(slow.split(text, pieces), DataError);
}

TEST(NormalForm, ComposesLettersAndKeepsWhatIsNoText) {
  const auto composed = [](std::string_view text) { return normal(text, NormalForm::kNfc); };
  EXPECT_EQ(composed("e\xcc\x81t"), "\xc3\xa9t");
  EXPECT_EQ(composed("a\xff"
                     "e\xcc\x81"),
            "a\xff\xc3\xa9");
  EXPECT_EQ(composed("plain"), "plain");
  EXPECT_EQ(normal("\xc3\xa9", NormalForm::kNfd), "e\xcc\x81");
  EXPECT_EQ(normal("\xef\xac\x81", NormalForm::kNfkc), "fi");
  EXPECT_EQ(normal("\xef\xac\x81\xc3\xa9", NormalForm::kNfkd), "fie\xcc\x81");
}

TEST(Bytes, TokensAreTheBytes) {
  const Tokenizer bytes = Tokenizer::bytes();
  EXPECT_EQ(bytes.size(), 256);
  EXPECT_EQ(bytes.encode(std::string("a\xff\0b", 4)), (Ids{97, 255, 0, 98}));
  const Tokenizer again = Tokenizer::parse(bytes.files().front().content, "again");
  EXPECT_EQ(again.encode("a\xff"), (Ids{97, 255}));
  EXPECT_EQ(again.files().front().content, bytes.files().front().content);
}

TEST(Tokenizer, DecodesWhatItEncoded) {
  Random random(4);
  for (const Tokenizer& tokenizer : {Tokenizer::bytes(), trained(), trained(257)}) {
    for (int i = 0; i < 500; ++i) {
      const std::string text = random_text(random, true);
      EXPECT_EQ(spelt(tokenizer, tokenizer.encode(text)), text);
    }
  }
}

/// The definition, word by word: the earliest rule that fits anywhere, at its leftmost place.
Ids merged_by_definition(const TokenizerSpec& spec, std::string_view word) {
  Ids ids;
  for (const char byte : word) ids.push_back(static_cast<uint8_t>(byte));
  for (bool changed = true; changed;) {
    changed = false;
    for (const Merge& merge : spec.model.merges) {
      for (size_t i = 0; i + 1 < ids.size() && !changed; ++i) {
        if (ids[i] != merge.left || ids[i + 1] != merge.right) continue;
        ids[i] = merge.result;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        changed = true;
      }
      if (changed) break;
    }
  }
  return ids;
}

TEST(Bpe, MergesByItsDefinition) {
  const Tokenizer tokenizer = trained();
  Random random(9);
  for (int i = 0; i < 500; ++i) {
    std::string word;
    const int64_t length = 1 + random.integer(12);
    for (int64_t k = 0; k < length; ++k) word += "aabthe"[random.integer(6)];
    EXPECT_EQ(tokenizer.encode(word), merged_by_definition(tokenizer.spec(), word)) << word;
  }
}

TEST(TrainBpe, MergesTheMostFrequentPairFirst) {
  const std::string_view texts[] = {"ab ab ab", "abc abc cd cd cd"};
  const Tokenizer tokenizer = train_bpe(texts, {.vocabulary = 258});
  // Pairs: a b 5, ' ' a 3 (two in the first text, one in the second), ' ' c 3, c d 3, b c 2.
  ASSERT_EQ(tokenizer.spec().model.merges.size(), 2u);
  EXPECT_EQ(tokenizer.token(256), "ab");
  EXPECT_EQ(tokenizer.token(257), " c") << "of equals, the smallest ids";
}

/// Counts pairs anew for every merge.
std::vector<std::pair<int64_t, int64_t>> slow_merges(std::string_view text, size_t count) {
  std::vector<std::string_view> pieces;
  Splitter(kWordPattern, "test").split(text, pieces);
  std::vector<Ids> words;
  for (const std::string_view piece : pieces) {
    words.emplace_back();
    for (const char byte : piece) words.back().push_back(static_cast<uint8_t>(byte));
  }
  std::vector<std::pair<int64_t, int64_t>> merges;
  while (merges.size() < count) {
    std::map<std::pair<int64_t, int64_t>, int64_t> counts;
    for (const Ids& word : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    }
    int64_t most = 1;
    std::pair<int64_t, int64_t> best;
    for (const auto& [pair, number] : counts) {
      if (number > most) std::tie(most, best) = std::pair(number, pair);
    }
    if (most < 2) break;
    merges.push_back(best);
    for (Ids& word : words) {
      for (size_t i = 0; i + 1 < word.size(); ++i) {
        if (word[i] != best.first || word[i + 1] != best.second) continue;
        word[i] = 255 + static_cast<int64_t>(merges.size());
        word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return merges;
}

TEST(TrainBpe, EqualsCountingAnew) {
  Random random(12);
  for (int round = 0; round < 40; ++round) {
    std::string text;
    for (int i = 0; i < 120; ++i) text += "aab c"[random.integer(5)];
    const std::string_view texts[] = {text};
    const Tokenizer tokenizer = train_bpe(texts, {.vocabulary = 256 + 12});
    const auto expected = slow_merges(text, 12);
    const auto& merges = tokenizer.spec().model.merges;
    // Two merges that spell the same token share a number here; compare up to the first.
    for (size_t i = 0; i < std::min(merges.size(), expected.size()); ++i) {
      if (merges[i].result != 256 + static_cast<int32_t>(i)) break;
      EXPECT_EQ(merges[i].left, expected[i].first) << round << " " << i;
      EXPECT_EQ(merges[i].right, expected[i].second) << round << " " << i;
    }
  }
}

TEST(TrainBpe, StopsWhenNothingRepeats) {
  const std::string_view texts[] = {"abcdefg"};
  EXPECT_EQ(train_bpe(texts, {.vocabulary = 300}).size(), 256);
  EXPECT_EQ(train_bpe({}, {.vocabulary = 300}).size(), 256);
  EXPECT_THROW(train_bpe(texts, {.vocabulary = 256, .special = {"<x>"}}), InvalidArgument);
}

TEST(Tokenizer, SpecialTokensAreFoundAndNotShown) {
  const Tokenizer tokenizer = trained();
  const int64_t special = *tokenizer.added("<|x|>");
  const Ids ids = tokenizer.encode("a<|x|>b<|x|>");
  EXPECT_EQ(ids, (Ids{'a', special, 'b', special}));
  EXPECT_EQ(tokenizer.decode(ids), "ab");
  EXPECT_EQ(tokenizer.token(special), "<|x|>");
  EXPECT_THROW(static_cast<void>(tokenizer.token(tokenizer.size())), InvalidArgument);
  EXPECT_THROW(static_cast<void>(tokenizer.token(-1)), InvalidArgument);
}

TEST(StreamDecoder, ShowsWholeCharactersOnly) {
  Random random(6);
  const Tokenizer bytes = Tokenizer::bytes();
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_text(random, false);
    StreamDecoder decoder(bytes);
    std::string shown;
    for (const int64_t id : bytes.encode(text)) {
      const std::string part = decoder.push(id);
      for (size_t at = 0; at < part.size();) {
        const size_t length = character_length(std::string_view(part).substr(at));
        ASSERT_GT(length, 0u);
        at += length;
      }
      shown += part;
    }
    EXPECT_EQ(shown + decoder.finish(), text);
  }
  StreamDecoder decoder(bytes);
  EXPECT_EQ(decoder.push(0xE6), "");
  EXPECT_EQ(decoder.push(0x41),
            "\xef\xbf\xbd"
            "A");
  EXPECT_EQ(decoder.push(0xE6), "");
  EXPECT_EQ(decoder.finish(), "\xef\xbf\xbd");
}

TEST(Gpt2Files, ReadAsTheirTokenizerJson) {
  const Tokenizer tokenizer = Tokenizer::parse_gpt2(
      R"({"a":0,"b":1,"ab":2,"Ġ":3,"<|endoftext|>":4})", "#version: 0.2\na b\n", "test");
  EXPECT_EQ(tokenizer.encode("ab a<|endoftext|>b"), (Ids{2, 3, 0, 4, 1}));
  const Tokenizer again = Tokenizer::parse(tokenizer.files().front().content, "again");
  EXPECT_EQ(again.encode("ab a<|endoftext|>b"), (Ids{2, 3, 0, 4, 1}));
  EXPECT_THROW(Tokenizer::parse_gpt2(R"({"a":0})", "a", "test"), DataError);
}

}  // namespace
}  // namespace longwave::text
