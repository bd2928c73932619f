// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <istream>
#include <span>
#include <string>
#include <vector>

namespace longwave::cli {

/// Reads samples from a stream, one step at a time, in constant memory.
///
///   text   one step a line, numbers apart by blanks, tabs, commas or semicolons; empty lines and
///          lines that start with # are skipped
///   f32    raw float32, little endian, input_size numbers a step
///
/// Errors     DataError with the line (or step), what stood there, and what is expected: a word
/// that
///            is no number, too few or too many numbers, numbers that are not finite, a last sample
///            that is cut off, a line longer than 1 MiB.
/// Threads    one owner at a time.
class SampleReader {
 public:
  enum class Format : uint8_t { kText, kFloat32 };
  SampleReader(std::istream& in, Format format, int64_t numbers_per_step);

  /// The next sample, valid until the next call; empty at the end.
  std::span<const float> next();

  /// Whether the next sample would have to be waited for: the moment to flush what was answered.
  bool would_wait() const { return in_.rdbuf()->in_avail() <= 0; }

 private:
  bool read_line();
  std::span<const float> next_text();
  std::span<const float> next_raw();
  [[noreturn]] void refuse(const std::string& what, const std::string& got,
                           const std::string& fix) const;

  std::istream& in_;
  Format format_;
  std::vector<float> sample_;
  std::string line_;
  int64_t count_ = 0;  // lines or steps read so far
};

}  // namespace longwave::cli
