// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/data/books.h"
#include "longwave/data/dataset.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/text/bpe_train.h"
#include "longwave/text/tokenizer.h"

namespace longwave::data {
namespace {

using longwave::testing::TemporaryFolder;

std::unique_ptr<Dataset> open(std::string_view name, const std::vector<std::string>& settings,
                              Split split = Split::kTrain) {
  Options options(source(name).schema());
  for (const std::string& setting : settings) options.assign(setting, "test");
  return source(name).open(options, split, 0);
}

std::string prose(int64_t words, const std::string& mark) {
  std::string text;
  for (int64_t i = 0; i < words; ++i) text += mark + std::to_string(i * i % 97) + " ";
  return text;
}

std::string as_text(const std::vector<int64_t>& bytes) { return {bytes.begin(), bytes.end()}; }

TEST(WindowPlan, FullWindowsCoverTheText) {
  for (const int64_t tokens : {1, 5, 7, 8, 20, 23}) {
    for (const int64_t stride : {1, 3, 7}) {
      const WindowPlan plan = {WindowPlan::Kind::kFull, 7, stride};
      int64_t covered = 0;
      for (int64_t i = 0; i < plan.count(tokens); ++i) {
        const auto [begin, length] = plan.window(i, tokens);
        EXPECT_EQ(length, std::min<int64_t>(7, tokens));
        EXPECT_LE(begin, covered);
        covered = begin + length;
      }
      EXPECT_EQ(covered, tokens);
    }
  }
  EXPECT_EQ((WindowPlan{WindowPlan::Kind::kFull, 7, 7}.count(0)), 0);
}

TEST(Text, HeldOutTokensAreAskedForExactlyOnce) {
  const TemporaryFolder folder;
  const std::string one = prose(300, "a"), two = prose(200, "b");
  io::write_file_atomically(folder.path() / "one.txt", one);
  io::write_file_atomically(folder.path() / "two.txt", two);
  const std::string path = "path=" + folder.path().string();
  const auto test = open("text", {path, "test=two", "length=64", "test_bytes=333"}, Split::kTest);
  std::string read;
  for (int64_t i = 0; i < test->size(); ++i) {
    const Example example = test->example(i);
    EXPECT_LE(example.tokens.size(), 64u);
    EXPECT_EQ(example.tokens.size(), example.label.size());
    read += as_text(example.label);
  }
  EXPECT_EQ(read, two.substr(1, 332));
  const auto whole = open("text", {path, "test=two", "held_out_length=100000"}, Split::kTest);
  EXPECT_EQ(whole->size(), 1);
  EXPECT_EQ(as_text(whole->example(0).label), two.substr(1));
}

TEST(Text, SplitsDoNotOverlap) {
  const TemporaryFolder folder;
  const std::string one = prose(1000, "a"), two = prose(200, "b");
  io::write_file_atomically(folder.path() / "one.txt", one);
  io::write_file_atomically(folder.path() / "two.txt", two);
  const std::string path = "path=" + folder.path().string();
  const auto last = [&](const std::string& test, Split split) {
    const auto dataset = open("text", {path, "length=50", "validation=0.1", "test=" + test}, split);
    return as_text(dataset->example(dataset->size() - 1).label);
  };
  const size_t held = one.size() / 10;
  EXPECT_TRUE(one.substr(0, one.size() - held).ends_with(last("two", Split::kTrain)));
  EXPECT_TRUE(one.ends_with(last("two", Split::kValidation)));
  EXPECT_TRUE(two.ends_with(last("two", Split::kTest)));
  EXPECT_TRUE(two.substr(0, two.size() - 2 * (two.size() / 10)).ends_with(last("", Split::kTrain)));
  EXPECT_TRUE(two.ends_with(last("", Split::kTest)));
}

TEST(Text, TokensAreThoseOfTheTokenizer) {
  const TemporaryFolder folder;
  const std::string text = prose(400, "the ");
  std::filesystem::create_directories(folder.path() / "books");
  io::write_file_atomically(folder.path() / "books" / "one.txt", text);
  const std::string_view texts[] = {text};
  const text::Tokenizer trained = text::train_bpe(texts, {.vocabulary = 280});
  io::write_file_atomically(folder.path() / "tokenizer.json", trained.files().front().content);
  const auto dataset = open("text", {"path=" + (folder.path() / "books").string(),
                                     "tokenizer=" + (folder.path() / "tokenizer.json").string(),
                                     "length=32", "validation=0"});
  EXPECT_EQ(dataset->info().input_size, trained.size());
  EXPECT_EQ(dataset->info().target_size, trained.size());
  ASSERT_NE(dataset->info().tokenizer, nullptr);
  EXPECT_EQ(dataset->info().tokenizer->files().front().content, trained.files().front().content);
  const Example first = dataset->example(0);
  EXPECT_TRUE(text.starts_with(trained.decode(first.tokens)));
}

TEST(Text, SaysHowToGetWhatIsMissing) {
  const auto message = [](const std::vector<std::string>& settings) -> std::string {
    try {
      open("text", settings);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_NE(message({"path=/nowhere/at/all"}).find("r-cran-janeaustenr"), std::string::npos);
  const TemporaryFolder folder;
  io::write_file_atomically(folder.path() / "one.txt", "some text");
  const std::string path = "path=" + folder.path().string();
  EXPECT_NE(message({path, "test=onne"}).find("did you mean one?"), std::string::npos);
  EXPECT_NE(message({path, "test=one"}).find("training split is empty"), std::string::npos);
}

TEST(Authors, ClassesAreSubfoldersAndSplitsFollowOneAnother) {
  const TemporaryFolder folder;
  for (const char* author : {"x", "y"}) std::filesystem::create_directory(folder.path() / author);
  io::write_file_atomically(folder.path() / "x" / "1.txt", prose(2000, "x\n "));
  io::write_file_atomically(folder.path() / "y" / "1.txt", prose(500, "y "));
  io::write_file_atomically(folder.path() / "y" / "2.txt", prose(500, "z "));
  const std::string path = "path=" + folder.path().string();
  std::map<int64_t, int64_t> counts;
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const auto dataset = open("authors", {path, "length=100", "most_bytes=4000"}, split);
    EXPECT_EQ(dataset->info().target_size, 2);
    for (int64_t i = 0; i < dataset->size(); ++i) {
      const Example example = dataset->example(i);
      ASSERT_EQ(example.tokens.size(), 100u);
      const std::string text = as_text(example.tokens);
      EXPECT_EQ(text.find('\n'), std::string::npos);
      EXPECT_EQ(text.find("  "), std::string::npos);
      EXPECT_EQ(text.find('x') != std::string::npos, example.label.at(0) == 0);
      ++counts[example.label.at(0)];
    }
  }
  EXPECT_EQ(counts[0], 40);
  EXPECT_EQ(counts[1], 40);
  EXPECT_THROW(open("authors", {"path=/nowhere"}), DataError);
}

}  // namespace
}  // namespace longwave::data
