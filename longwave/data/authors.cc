// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/data/books.h"
#include "longwave/data/builtin.h"
#include "longwave/data/generated.h"

namespace longwave::data {
namespace {

namespace fs = std::filesystem;

Schema authors_schema() {
  return {
      {.key = "path",
       .value = std::string(kTextFolder),
       .help = "folder with a subfolder of text files for each author"},
      {.key = "length",
       .value = int64_t{1024},
       .help = "bytes of a sequence",
       .least = 1,
       .most = 1e8},
      {.key = "most_bytes",
       .value = int64_t{350000},
       .help = "bytes taken of each author, so that none outweighs the others; 0 means all",
       .least = 0,
       .most = 1e12},
      {.key = "white_space",
       .value = std::string("one"),
       .help = "runs of blanks and line ends become one blank, or stay as a hint to the edition",
       .choices = {"one", "keep"}},
      {.key = "validation",
       .value = 0.1,
       .help = "share of each author's bytes for validation",
       .least = 0,
       .most = 0.5},
      {.key = "test",
       .value = 0.1,
       .help = "share of each author's bytes, at the end, for the test split",
       .least = 0,
       .most = 0.5}};
}

bool is_blank(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

std::string with_single_blanks(const std::string& text) {
  std::string result;
  for (const char byte : text) {
    const bool blank = is_blank(byte);
    if (blank && (result.empty() || result.back() == ' ')) continue;
    result += blank ? ' ' : byte;
  }
  return result;
}

/// All that an author wrote, one book after the other.
std::string works_in(const fs::path& folder, const Options& options) {
  std::string works;
  for (const Book& book : read_books(folder)) works += book.text + "\n";
  if (options.text("white_space") == "one") works = with_single_blanks(works);
  const auto most = static_cast<size_t>(options.integer("most_bytes"));
  if (most > 0 && works.size() > most) works.resize(most);
  return works;
}

std::string part_of(const std::string& works, const Options& options, Split split) {
  const auto share = [&works](double part) {
    return static_cast<size_t>(std::floor(part * static_cast<double>(works.size())));
  };
  const size_t held = share(options.real("validation")), tested = share(options.real("test"));
  const size_t trained = works.size() - held - tested;
  if (split == Split::kTrain) return works.substr(0, trained);
  return split == Split::kValidation ? works.substr(trained, held) : works.substr(trained + held);
}

/// Windows of bytes that do not overlap; the class is the author.
class Authors : public Dataset {
 public:
  Authors(std::vector<std::string> works, int64_t length) : works_(std::move(works)) {
    std::vector<int64_t> bytes;
    for (const std::string& each : works_) {
      // What is left at the end is no full window and left out.
      bytes.push_back(static_cast<int64_t>(each.size()) / length * length);
    }
    index_ = WindowIndex({WindowPlan::Kind::kOnce, length, length}, bytes);
    info_ = {.input = TaskInfo::Input::kTokens,
             .input_size = 256,
             .target = TaskInfo::Target::kClass,
             .target_size = static_cast<int64_t>(works_.size()),
             .length = length};
  }

  const TaskInfo& info() const override { return info_; }
  int64_t size() const override { return index_.size(); }

  Example example(int64_t index) const override {
    const auto [author, window] = index_(index);
    Example example;
    for (int64_t i = 0; i < window.length; ++i) {
      const char byte = works_[author][static_cast<size_t>(window.begin + i)];
      example.tokens.push_back(static_cast<uint8_t>(byte));
    }
    example.label = {static_cast<int64_t>(author)};
    return example;
  }

 private:
  TaskInfo info_;
  WindowIndex index_;
  std::vector<std::string> works_;
};

std::unique_ptr<Dataset> open_authors(const Options& options, Split split, uint64_t) {
  const fs::path path = options.text("path");
  std::error_code error;
  std::vector<fs::path> folders;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    const bool hidden = entry->path().filename().string().starts_with('.');
    if (!hidden && entry->is_directory(error)) folders.push_back(entry->path());
  }
  if (folders.size() < 2) {
    refuse_missing_texts(path, " " + path.string() + " austen spurgeon henry doyle twain newton");
  }
  std::ranges::sort(folders);
  std::vector<std::string> works;
  for (const fs::path& folder : folders) {
    works.push_back(part_of(works_in(folder, options), options, split));
    const auto length = static_cast<size_t>(options.integer("length"));
    if (split == Split::kTrain && works.back().size() < length) {
      throw DataError({.where = folder.string(),
                       .what = "the author has fewer bytes than one training sequence",
                       .got = std::to_string(works.back().size()),
                       .fix = "add texts, or use a shorter length"});
    }
  }
  return std::make_unique<Authors>(std::move(works), options.integer("length"));
}

}  // namespace

const Source kAuthors = {"authors", "who wrote these bytes? (class a sequence)", authors_schema,
                         open_authors};

}  // namespace longwave::data
