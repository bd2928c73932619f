// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/token_settings.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/text/tokenizer.h"

namespace longwave::text {
namespace {

using Ids = std::vector<int64_t>;

constexpr const char* kTokenizer =
    R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"added_tokens":[)"
    R"({"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true},)"
    R"({"id":3,"content":"<end>"}],"model":{"vocab":{"a":0},"merges":[]}})";

/// The tokenizer of a folder with these files beside.
Tokenizer with(const std::vector<StoredFile>& files) {
  const testing::TemporaryFolder folder;
  io::write_file_atomically(folder.path() / "tokenizer.json", kTokenizer);
  for (const StoredFile& file : files) {
    io::write_file_atomically(folder.path() / file.name, file.content);
  }
  return Tokenizer::load(folder.path());
}

TEST(TokenSettings, FlagsPutTokensAroundTexts) {
  EXPECT_EQ(with({}).encode_whole("a"), (Ids{0}));
  const std::string names = R"("bos_token":"<s>","eos_token":{"content":"</s>"})";
  EXPECT_EQ(with({{"tokenizer_config.json", "{" + names + "}"}}).encode_whole("a"), (Ids{0}));
  const Tokenizer both = with(
      {{"tokenizer_config.json", "{" + names + R"(,"add_bos_token":true,"add_eos_token":true})"}});
  EXPECT_EQ(both.encode_whole("a"), (Ids{1, 0, 2}));
  EXPECT_EQ(both.encode_prompt("a"), (Ids{1, 0})) << "a prompt is gone on with";
  EXPECT_EQ(both.encode("a"), (Ids{0}));
  EXPECT_EQ(with({{"tokenizer_config.json", R"({"bos_token":"none","add_bos_token":true})"}})
                .encode_whole("a"),
            (Ids{0}));
}

TEST(TokenSettings, TokensOfEitherFileEndWhatIsGenerated) {
  const Tokenizer plain = with({});
  EXPECT_TRUE(plain.is_end(2)) << "special tokens do";
  EXPECT_FALSE(plain.is_end(3));
  EXPECT_TRUE(with({{"generation_config.json", R"({"eos_token_id":[2,3,77]})"}}).is_end(3));
  EXPECT_TRUE(with({{"config.json", R"({"eos_token_id":3})"}}).is_end(3));
  EXPECT_TRUE(with({{"tokenizer_config.json", R"({"eos_token":"<end>"})"}}).is_end(3));
  const Tokenizer odd = with({{"generation_config.json", R"({"eos_token_id":["x",-5,1e9]})"}});
  EXPECT_FALSE(odd.is_end(3));
}

TEST(TokenSettings, FilesOfATokenizerGiveItBack) {
  const Tokenizer tokenizer =
      with({{"tokenizer_config.json", R"({"bos_token":"<s>","add_bos_token":true})"},
            {"generation_config.json", R"({"eos_token_id":3})"}});
  ASSERT_EQ(tokenizer.files().size(), 3u);
  std::vector<StoredFile> settings(tokenizer.files().begin() + 1, tokenizer.files().end());
  const Tokenizer again = with(settings);
  EXPECT_EQ(again.files(), tokenizer.files());
  EXPECT_EQ(again.encode_whole("a"), (Ids{1, 0}));
  EXPECT_TRUE(again.is_end(3));
}

TEST(TokenSettings, DamageIsRefused) {
  EXPECT_THROW(with({{"tokenizer_config.json", "{"}}), DataError);
  EXPECT_THROW(with({{"generation_config.json", "[]"}}), DataError);
}

}  // namespace
}  // namespace longwave::text
