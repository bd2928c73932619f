// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/sample_reader.h"

#include <charconv>
#include <cmath>
#include <string_view>

#include "longwave/base/error.h"

namespace longwave::cli {
namespace {

constexpr size_t kLongestLine = 1 << 20;
constexpr std::string_view kSeparators = " \t,;\r";

/// A piece of input that fits into a message.
std::string excerpt(std::string_view text) {
  constexpr size_t kMost = 40;
  return "\"" + std::string(text.substr(0, kMost)) + (text.size() > kMost ? "...\"" : "\"");
}

std::string steps_of(size_t numbers) {
  return numbers == 1 ? "one number a line" : std::to_string(numbers) + " numbers a line";
}

}  // namespace

SampleReader::SampleReader(std::istream& in, Format format, int64_t numbers_per_step)
    : in_(in), format_(format), sample_(static_cast<size_t>(numbers_per_step)) {}

void SampleReader::refuse(const std::string& what, const std::string& got,
                          const std::string& fix) const {
  const char* unit = format_ == Format::kText ? "line " : "step ";
  throw DataError({.where = "stdin, " + std::string(unit) + std::to_string(count_),
                   .what = what,
                   .got = got,
                   .fix = fix});
}

std::span<const float> SampleReader::next() {
  return format_ == Format::kText ? next_text() : next_raw();
}

bool SampleReader::read_line() {
  line_.clear();
  std::streambuf& buffer = *in_.rdbuf();
  constexpr int kEnd = std::char_traits<char>::eof();
  for (int letter = buffer.sbumpc(); letter != kEnd; letter = buffer.sbumpc()) {
    if (letter == '\n') return true;
    if (line_.size() == kLongestLine) {
      ++count_;
      refuse("a line is longer than 1 MiB", excerpt(line_), "write one step a line");
    }
    line_ += static_cast<char>(letter);
  }
  return !line_.empty();
}

std::span<const float> SampleReader::next_text() {
  while (read_line()) {
    ++count_;
    std::string_view rest = line_;
    size_t found = 0;
    while (true) {
      const size_t first = rest.find_first_not_of(kSeparators);
      if (first == std::string_view::npos) break;
      rest.remove_prefix(first);
      if (found == 0 && rest[0] == '#') break;
      const std::string_view word = rest.substr(0, rest.find_first_of(kSeparators));
      rest.remove_prefix(word.size());
      const std::string_view digits = word.substr(word[0] == '+' ? 1 : 0);
      float value = 0;
      const auto [end, error] = std::from_chars(digits.begin(), digits.end(), value);
      if (error != std::errc() || end != digits.end()) {
        refuse(error == std::errc::result_out_of_range ? "a number is out of the range of float32"
                                                       : "this is no number",
               excerpt(word), "write " + steps_of(sample_.size()) + ", such as 0.25");
      }
      if (!std::isfinite(value)) {
        refuse("a number is not finite, and would spoil the state for good", excerpt(word),
               "leave the sample out or replace it");
      }
      if (found < sample_.size()) sample_[found] = value;
      ++found;
    }
    if (found == 0) continue;
    if (found != sample_.size()) {
      refuse("the model takes " + steps_of(sample_.size()), std::to_string(found) + " numbers",
             found % sample_.size() == 0 ? "write one step a line" : "complete the line");
    }
    return sample_;
  }
  return {};
}

std::span<const float> SampleReader::next_raw() {
  const auto bytes = static_cast<std::streamsize>(sample_.size() * sizeof(float));
  const std::streamsize got = in_.rdbuf()->sgetn(reinterpret_cast<char*>(sample_.data()), bytes);
  if (got == 0) return {};
  ++count_;
  if (got != bytes) {
    refuse("the last sample is cut off",
           std::to_string(got) + " of " + std::to_string(bytes) + " bytes",
           "send whole samples of float32");
  }
  for (const float value : sample_) {
    if (!std::isfinite(value)) {
      refuse("a number is not finite, and would spoil the state for good", std::to_string(value),
             "leave the sample out, or say --format text if this is text");
    }
  }
  return sample_;
}

}  // namespace longwave::cli
