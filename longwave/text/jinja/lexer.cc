// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "longwave/base/error.h"
#include "longwave/text/utf8.h"

namespace longwave::text::jinja {
namespace {

constexpr std::string_view kBlank = " \t\n\r\f\v";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view where) : source_(source), where_(where) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      data();
      if (at_ >= source_.size()) break;
      if (rest().starts_with("{#")) {
        comment();
      } else {
        braces();
      }
    }
    add(Token::Kind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return source_.substr(at_); }

  [[noreturn]] void fail(const std::string& what, std::string_view got = {}) const {
    throw DataError({.where = std::string(where_) + ":" + std::to_string(line_),
                     .what = what,
                     .got = std::string(got.substr(0, 80)),
                     .fix = {}});
  }

  void add(Token::Kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_});
  }

  void move(size_t count) {
    const std::string_view over = source_.substr(at_, count);
    line_ += std::ranges::count(over, '\n');
    at_ += over.size();
  }

  /// Text up to the next opening brace, with the blanks that the brace takes away.
  void data() {
    size_t end = at_;
    for (;; ++end) {
      end = source_.find('{', end);
      if (end == std::string_view::npos || end + 1 >= source_.size()) {
        end = source_.size();
        break;
      }
      const char next = source_[end + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    std::string_view text = source_.substr(at_, end - at_);
    const size_t consumed = text.size();
    if (end < source_.size()) {
      const char sign = end + 2 < source_.size() ? source_[end + 2] : ' ';
      if (sign == '-') {
        const size_t last = text.find_last_not_of(kBlank);
        text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
      } else if (source_[end + 1] != '{' && sign != '+') {
        const size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
        const bool begins = line > 0 || line_starts_;
        if (begins && text.find_first_not_of(kBlank, line) == std::string_view::npos) {
          text = text.substr(0, line);
        }
      }
    }
    if (!text.empty()) add(Token::Kind::kData, std::string(text));
    move(consumed);
  }

  /// What a closing brace takes away behind it.
  void after(bool strips, bool is_tag, bool keeps) {
    size_t count = 0;
    if (strips) {
      count = std::min(rest().find_first_not_of(kBlank), rest().size());
    } else if (is_tag && !keeps && rest().starts_with('\n')) {
      count = 1;
    }
    line_starts_ = count > 0 && source_[at_ + count - 1] == '\n';
    move(count);
  }

  void comment() {
    const size_t end = source_.find("#}", at_ + 2);
    if (end == std::string_view::npos) fail("a comment is not closed", rest());
    const bool strips = source_[end - 1] == '-';
    move(end + 2 - at_);
    after(strips, true, false);
  }

  void braces() {
    const bool is_tag = source_[at_ + 1] == '%';
    add(is_tag ? Token::Kind::kTagBegin : Token::Kind::kOutBegin, {});
    move(2);
    if (rest().starts_with('-') || rest().starts_with('+')) move(1);
    const std::string_view closing = is_tag ? "%}" : "}}";
    // Each word can make the expression one level deeper.
    constexpr size_t kMostWords = 1500;
    const size_t first = tokens_.size();
    int64_t open = 0;
    while (true) {
      if (tokens_.size() - first > kMostWords)
        fail("nested too deeply, or too long: an expression");
      move(std::min(rest().find_first_not_of(kBlank), rest().size()));
      if (at_ >= source_.size()) fail("a brace is not closed");
      const bool strips = rest().front() == '-', keeps = rest().front() == '+';
      const size_t sign = (strips || (keeps && is_tag)) ? 1 : 0;
      if (open == 0 && rest().substr(sign).starts_with(closing)) {
        move(sign + 2);
        add(is_tag ? Token::Kind::kTagEnd : Token::Kind::kOutEnd, {});
        after(strips, is_tag, keeps);
        return;
      }
      word(open);
    }
  }

  void word(int64_t& open) {
    const char first = rest().front();
    if (is_letter(first)) {
      size_t size = 1;
      while (size < rest().size() && (is_letter(rest()[size]) || is_digit(rest()[size]))) ++size;
      add(Token::Kind::kName, std::string(rest().substr(0, size)));
      move(size);
    } else if (is_digit(first)) {
      number();
    } else if (first == '"' || first == '\'') {
      string(first);
    } else {
      sign(open);
    }
  }

  void number() {
    size_t size = 0;
    const auto digits = [&] {
      while (size < rest().size() && is_digit(rest()[size])) ++size;
    };
    digits();
    const bool real = size + 1 < rest().size() && rest()[size] == '.' && is_digit(rest()[size + 1]);
    if (real) {
      ++size;
      digits();
    }
    if (size > 18) fail("a number is too long", rest().substr(0, size));
    add(real ? Token::Kind::kReal : Token::Kind::kInteger, std::string(rest().substr(0, size)));
    move(size);
  }

  void string(char quote) {
    std::string text;
    size_t i = 1;
    for (;; ++i) {
      if (i >= rest().size()) fail("a text is not closed", rest());
      if (rest()[i] == quote) break;
      if (rest()[i] != '\\') {
        text += rest()[i];
      } else {
        i += escape(rest().substr(i), text);
      }
    }
    add(Token::Kind::kString, std::move(text));
    move(i + 1);
  }

  /// Adds what an escape means and returns its length less 1.
  size_t escape(std::string_view at, std::string& text) const {
    static constexpr std::array<std::pair<char, char>, 7> kKnown = {
        {{'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'\\', '\\'}, {'\'', '\''}, {'"', '"'}, {'0', 0}}};
    const char kind = at.size() > 1 ? at[1] : '\\';
    for (const auto& [letter, meaning] : kKnown) {
      if (letter != kind) continue;
      text += meaning;
      return 1;
    }
    const size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 0;
    if (digits == 0) {
      // Python keeps what it does not know.
      text += at.substr(0, 2);
      return 1;
    }
    const std::string hex(at.substr(2, digits));
    if (hex.size() < digits ||
        hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
      fail("an escape needs hexadecimal digits", at.substr(0, 6));
    }
    append_character(text, static_cast<char32_t>(std::stoul(hex, nullptr, 16)));
    return 1 + digits;
  }

  void sign(int64_t& open) {
    static constexpr std::array<std::string_view, 7> kLong = {
        "==", "!=", "<=", ">=", "//", "**", "|"};
    size_t size = 1;
    for (const std::string_view each : kLong) {
      if (rest().starts_with(each)) size = each.size();
    }
    const char first = rest().front();
    if (std::string_view("=!<>+-*/%~|.,:()[]{}").find(first) == std::string_view::npos) {
      fail("a sign that no expression has", rest().substr(0, 1));
    }
    if (first == '(' || first == '[' || first == '{') ++open;
    if (first == ')' || first == ']' || first == '}') --open;
    add(Token::Kind::kSign, std::string(rest().substr(0, size)));
    move(size);
  }

  std::string_view source_, where_;
  size_t at_ = 0;
  int64_t line_ = 1;
  bool line_starts_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view source, std::string_view where) {
  if (source.ends_with('\n')) source.remove_suffix(1);
  return Lexer(source, where).run();
}

}  // namespace longwave::text::jinja
