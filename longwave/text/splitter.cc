// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstdint>

#include "longwave/base/error.h"

namespace longwave::text {
namespace {

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(error, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

struct Splitter::Code {
  std::unique_ptr<pcre2_code, Free> compiled;
  std::unique_ptr<pcre2_match_context, Free> context;
  std::string where;
};

std::string Splitter::literal(std::string_view text) {
  constexpr std::string_view kMeaning = "\\^$.[|()?*+{";
  std::string pattern;
  for (const char each : text) {
    if (kMeaning.find(each) != std::string_view::npos) pattern += '\\';
    pattern += each;
  }
  return pattern;
}

Splitter::Splitter(const std::string& pattern, std::string_view where)
    : code_(std::make_unique<Code>()) {
  // What a pattern may do before it is taken for one that would not end.
  constexpr uint32_t kMostSteps = 10'000'000;
  code_->where = where;
  // In PCRE2 this reads as two ampersands in a class, silently.
  if (pattern.find("&&[") != std::string::npos) {
    throw DataError({.where = code_->where,
                     .what = "intersections of character classes are not supported",
                     .got = pattern,
                     .fix = "write the class without &&"});
  }
  int error = 0;
  PCRE2_SIZE place = 0;
  code_->compiled.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                      PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error,
                                      &place, nullptr));
  if (code_->compiled == nullptr) {
    throw DataError({.where = code_->where,
                     .what = "the pattern is no regular expression: " + message_of(error),
                     .got = pattern,
                     .fix = "see place " + std::to_string(place)});
  }
  // Where there is no compiler for this machine the interpreter does the same, slower.
  pcre2_jit_compile(code_->compiled.get(), PCRE2_JIT_COMPLETE);
  code_->context.reset(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(code_->context.get(), kMostSteps);
}

Splitter::~Splitter() = default;
Splitter::Splitter(Splitter&& other) noexcept = default;
Splitter& Splitter::operator=(Splitter&& other) noexcept = default;

void Splitter::segment(std::string_view text, std::vector<Segment>& segments) const {
  const std::unique_ptr<pcre2_match_data, Free> match(
      pcre2_match_data_create_from_pattern(code_->compiled.get(), nullptr));
  size_t done = 0, from = 0;
  while (from < text.size()) {
    const int found = pcre2_match(code_->compiled.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), from, 0, match.get(), code_->context.get());
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      throw DataError({.where = code_->where,
                       .what = "the pattern gives up on a text: " + message_of(found),
                       .got = std::to_string(text.size()) + " bytes",
                       .fix = {}});
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match.get());
    if (ends[1] <= ends[0]) {
      // An empty match cuts nothing off.
      from = std::max(ends[0], from) + 1;
      continue;
    }
    if (ends[0] > done) segments.push_back({text.substr(done, ends[0] - done), false});
    segments.push_back({text.substr(ends[0], ends[1] - ends[0]), true});
    done = from = ends[1];
  }
  if (done < text.size()) segments.push_back({text.substr(done), false});
}

bool Splitter::is_match(std::string_view text) const {
  std::vector<Segment> segments;
  segment(text, segments);
  return segments.size() == 1 && segments.front().matches;
}

void Splitter::split(std::string_view text, std::vector<std::string_view>& pieces,
                     Matches matches) const {
  std::vector<Segment> segments;
  segment(text, segments);
  // Does the segment at `i` join the one before it?
  const auto joins = [&](size_t i) {
    if (i == 0) return false;
    const bool before = segments[i - 1].matches, here = segments[i].matches;
    switch (matches) {
      case Matches::kApart:
      case Matches::kDropped:
      case Matches::kOnly:
        return false;
      case Matches::kWithPrevious:
        return here && !before;
      case Matches::kWithNext:
        return before && !here;
      case Matches::kTogether:
        return before == here;
    }
    return false;
  };
  for (size_t i = 0; i < segments.size(); ++i) {
    const std::string_view piece = segments[i].text;
    if (matches == (segments[i].matches ? Matches::kDropped : Matches::kOnly)) continue;
    if (joins(i)) {
      pieces.back() = {pieces.back().data(), pieces.back().size() + piece.size()};
    } else {
      pieces.push_back(piece);
    }
  }
}

}  // namespace longwave::text
