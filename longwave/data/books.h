// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace longwave::data {

/// Where scripts/fetch_texts.py puts what it takes from Debian packages.
inline constexpr const char* kTextFolder = "/usr/local/share/longwave/texts";

/// A plain text and the name of its file without the ending.
struct Book {
  std::string name;
  std::string text;
};

/// A file, or the files of a folder in alphabetical order; hidden ones are left out.
///
/// Errors     DataError if there is nothing to read, with the command that brings it; IoError.
std::vector<Book> read_books(const std::filesystem::path& path);

/// The DataError of a folder of texts that is not there; `fetch` is what fetch_texts.py is asked.
[[noreturn]] void refuse_missing_texts(const std::filesystem::path& path, const std::string& fetch);

/// Where windows of `length` tokens stand in a text.
struct WindowPlan {
  /// kFull: every window has `length` tokens, the last one ends with the text.
  /// kOnce: windows do not overlap and the last one may be shorter, so that each token counts once.
  enum class Kind : uint8_t { kFull, kOnce };
  Kind kind = Kind::kFull;
  int64_t length = 1024;
  int64_t stride = 1024;  ///< from one window to the next, for kFull

  struct Window {
    int64_t begin, length;
  };
  /// Windows in a text of `tokens`: all of them, even if it is shorter than one.
  int64_t count(int64_t tokens) const;
  Window window(int64_t index, int64_t tokens) const;
};

/// Finds the text that the index of a window belongs to.
class WindowIndex {
 public:
  WindowIndex() = default;
  WindowIndex(const WindowPlan& plan, const std::vector<int64_t>& tokens_of_texts);

  struct Place {
    size_t text;
    WindowPlan::Window window;
  };
  int64_t size() const { return ends_.empty() ? 0 : ends_.back(); }
  Place operator()(int64_t index) const;

 private:
  WindowPlan plan_;
  std::vector<int64_t> tokens_, ends_;
};

}  // namespace longwave::data
