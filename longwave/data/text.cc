// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/data/books.h"
#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"
#include "longwave/data/names.h"
#include "longwave/text/tokenizer.h"

namespace longwave::data {
namespace {

constexpr const char* kBytes = "bytes";

Schema text_schema() {
  constexpr double kMost = 1e9;
  return {
      {.key = "path",
       .value = std::string(kTextFolder) + "/austen",
       .help = "a text file, or a folder of them; each is a book"},
      {.key = "tokenizer",
       .value = std::string(kBytes),
       .help = "bytes, or a tokenizer.json, or a folder with vocab.json and merges.txt"},
      {.key = "length",
       .value = int64_t{1024},
       .help = "tokens of a training sequence",
       .least = 1,
       .most = kMost},
      {.key = "stride",
       .value = int64_t{0},
       .help = "tokens from one training sequence to the next; 0 means length",
       .least = 0,
       .most = kMost},
      {.key = "held_out_length",
       .value = int64_t{0},
       .help = "tokens of a held-out sequence, whose first ones lack context; 0 means length",
       .least = 0,
       .most = kMost},
      {.key = "test",
       .value = std::string(),
       .help = "books of the test split, separated by commas; empty means the end of each book"},
      {.key = "test_bytes",
       .value = int64_t{0},
       .help = "bytes of each test book, from its start; 0 means all",
       .least = 0,
       .most = 1e12},
      {.key = "validation",
       .value = 0.02,
       .help = "share of each training book, at its end, for validation",
       .least = 0,
       .most = 0.5}};
}

/// The parts of the books that belong to a split, as views of them.
std::vector<std::string_view> parts_of(const std::vector<Book>& books, const Options& options,
                                       Split split) {
  const std::vector<std::string> test = listed_names(options.text("test"));
  const double share = options.real("validation");
  std::vector<std::string_view> parts;
  for (const Book& book : books) {
    const std::string_view text = book.text;
    const bool is_test = std::ranges::find(test, book.name) != test.end();
    if (is_test) {
      const auto most = static_cast<size_t>(options.integer("test_bytes"));
      if (split == Split::kTest) parts.push_back(most > 0 ? text.substr(0, most) : text);
      continue;
    }
    const auto held = static_cast<size_t>(std::floor(share * static_cast<double>(text.size())));
    // Without test books: train, validation, test, one after the other.
    const size_t tested = test.empty() ? held : 0;
    const size_t trained = text.size() - held - tested;
    if (split == Split::kTrain) parts.push_back(text.substr(0, trained));
    if (split == Split::kValidation) parts.push_back(text.substr(trained, held));
    if (split == Split::kTest && tested > 0) parts.push_back(text.substr(trained + held));
  }
  return parts;
}

void check_names(const std::vector<Book>& books, const Options& options) {
  std::vector<std::string> known;
  for (const Book& book : books) known.push_back(book.name);
  for (const std::string& name : listed_names(options.text("test"))) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const std::string near = nearest(name, known);
    throw ConfigError({.where = "text.test",
                       .what = "there is no such book in " + options.text("path"),
                       .got = "\"" + name + "\"",
                       .fix = near.empty() ? "write a file's name without its ending"
                                           : "did you mean " + near + "?"});
  }
}

/// Windows of texts, each step asked for the next token.
class Language : public Dataset {
 public:
  Language(const std::vector<std::string_view>& parts,
           std::shared_ptr<const text::Tokenizer> tokenizer, const WindowPlan& plan) {
    std::vector<int64_t> steps;
    for (const std::string_view part : parts) {
      const std::vector<int64_t> ids = tokenizer->encode(part);
      // The last token is only asked for.
      steps.push_back(std::max<int64_t>(static_cast<int64_t>(ids.size()) - 1, 0));
      texts_.emplace_back(ids.begin(), ids.end());
    }
    index_ = WindowIndex(plan, steps);
    info_ = {.input = TaskInfo::Input::kTokens,
             .input_size = tokenizer->size(),
             .target = TaskInfo::Target::kClassPerStep,
             .target_size = tokenizer->size(),
             .length = plan.length,
             .tokenizer = std::move(tokenizer)};
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size() const override { return index_.size(); }

  Example example(int64_t index) const override {
    const auto [text, window] = index_(index);
    const auto begin = texts_[text].begin() + window.begin;
    Example example;
    example.tokens.assign(begin, begin + window.length);
    example.label.assign(begin + 1, begin + 1 + window.length);
    return example;
  }

 private:
  TaskInfo info_;
  WindowIndex index_;
  std::vector<std::vector<int32_t>> texts_;
};

std::shared_ptr<const text::Tokenizer> tokenizer_of(const Options& options) {
  const std::string& name = options.text("tokenizer");
  return std::make_shared<const text::Tokenizer>(name == kBytes ? text::Tokenizer::bytes()
                                                                : text::Tokenizer::load(name));
}

std::unique_ptr<Dataset> open_text(const Options& options, Split split, uint64_t) {
  const std::string& path = options.text("path");
  const std::vector<Book> books = read_books(path);
  if (books.empty()) {
    refuse_missing_texts(path, " (it unpacks Debian's r-cran-janeaustenr, 1.6 MB)");
  }
  check_names(books, options);
  const int64_t length = options.integer("length");
  const int64_t stride = options.integer("stride"), held_out = options.integer("held_out_length");
  const WindowPlan plan =
      split == Split::kTrain
          ? WindowPlan{WindowPlan::Kind::kFull, length, stride > 0 ? stride : length}
          : WindowPlan{WindowPlan::Kind::kOnce, held_out > 0 ? held_out : length, length};
  auto dataset =
      std::make_unique<Language>(parts_of(books, options, split), tokenizer_of(options), plan);
  if (split == Split::kTrain && dataset->size() == 0) {
    throw DataError({.where = path,
                     .what = "the training split is empty",
                     .got = std::to_string(books.size()) + " books",
                     .fix = "leave a book out of text.test"});
  }
  return dataset;
}

}  // namespace

const Source kText = {"text", "windows of books for language models (class a step)", text_schema,
                      open_text};

}  // namespace longwave::data
