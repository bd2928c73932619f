// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/books.h"

#include <algorithm>

#include "longwave/base/error.h"
#include "longwave/io/file.h"

namespace longwave::data {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kBookLimit = uint64_t{4} << 30;

}  // namespace

void refuse_missing_texts(const fs::path& path, const std::string& fetch) {
  std::error_code ignored;
  throw DataError(
      {.where = path.string(),
       .what = "there is no text to read",
       .got = fs::exists(path, ignored) ? "a folder without text files" : "no such file or folder",
       .fix = "run scripts/fetch_texts.py" + fetch +
              ", or name your own plain text with the option path"});
}

std::vector<Book> read_books(const fs::path& path) {
  std::error_code error;
  std::vector<fs::path> files;
  if (fs::is_regular_file(path, error)) {
    files.push_back(path);
  } else {
    for (fs::directory_iterator entry(path, error), end; !error && entry != end;
         entry.increment(error)) {
      const bool hidden = entry->path().filename().string().starts_with('.');
      if (!hidden && entry->is_regular_file(error)) files.push_back(entry->path());
    }
  }
  std::ranges::sort(files);
  std::vector<Book> books;
  for (const fs::path& file : files) {
    books.push_back({file.stem().string(), io::read_text(file, kBookLimit)});
  }
  return books;
}

int64_t WindowPlan::count(int64_t tokens) const {
  if (tokens <= 0) return 0;
  if (kind == Kind::kOnce) return (tokens + length - 1) / length;
  return tokens <= length ? 1 : 1 + (tokens - length + stride - 1) / stride;
}

WindowPlan::Window WindowPlan::window(int64_t index, int64_t tokens) const {
  if (kind == Kind::kOnce) {
    return {index * length, std::min(length, tokens - index * length)};
  }
  const int64_t last = std::max<int64_t>(tokens - length, 0);
  return {std::min(index * stride, last), std::min(length, tokens)};
}

WindowIndex::WindowIndex(const WindowPlan& plan, const std::vector<int64_t>& tokens_of_texts)
    : plan_(plan), tokens_(tokens_of_texts) {
  int64_t end = 0;
  for (const int64_t tokens : tokens_) ends_.push_back(end += plan.count(tokens));
}

WindowIndex::Place WindowIndex::operator()(int64_t index) const {
  require(index >= 0 && index < size(), "data set", "the example's index is out of range");
  const auto text = static_cast<size_t>(std::ranges::upper_bound(ends_, index) - ends_.begin());
  const int64_t first = text == 0 ? 0 : ends_[text - 1];
  return {text, plan_.window(index - first, tokens_[text])};
}

}  // namespace longwave::data
