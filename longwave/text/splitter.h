// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace longwave::text {

/// The pattern by which GPT-2, GPT-NeoX and our own tokenizers cut text into words: contractions,
/// words, numbers and other signs with the blank before them, and runs of white space.
inline constexpr const char* kWordPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What Unicode takes for a letter of a word and for white space; \w and \s of PCRE2 differ.
inline constexpr const char* kWordCharacter =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}])";
inline constexpr const char* kWhiteSpace = R"(\p{White_Space})";

/// Cuts text at the matches of a regular expression.
///
/// The dialect is that of PCRE2 with Unicode properties. Bytes that are not UTF-8 match nothing.
///
/// Errors     DataError if the pattern does not compile, or gives up on a text.
/// Threads    const use is safe from many threads.
class Splitter {
 public:
  /// A match, or what lies between two of them.
  struct Segment {
    std::string_view text;
    bool matches = false;
  };

  /// What pieces matches become.
  enum class Matches : uint8_t {
    kApart,         ///< each is a piece
    kWithPrevious,  ///< the first of several joins the piece before it
    kWithNext,      ///< the last of several joins the piece after it
    kTogether,      ///< neighbours are one piece
    kDropped,       ///< none: they are lost
    kOnly,          ///< each is a piece, and what lies between is lost
  };

  /// The pattern that matches just this text.
  static std::string literal(std::string_view text);

  /// `where` names the pattern's origin in messages.
  Splitter(const std::string& pattern, std::string_view where);
  ~Splitter();
  Splitter(Splitter&& other) noexcept;
  Splitter& operator=(Splitter&& other) noexcept;

  /// Is all of the text one match?
  bool is_match(std::string_view text) const;

  /// Adds the matches and what lies between them to `segments`, in order; nothing is lost.
  void segment(std::string_view text, std::vector<Segment>& segments) const;

  /// Adds the pieces of a text, in order.
  void split(std::string_view text, std::vector<std::string_view>& pieces,
             Matches matches = Matches::kApart) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace longwave::text
