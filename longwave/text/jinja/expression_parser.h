// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "longwave/text/jinja/lexer.h"
#include "longwave/text/jinja/syntax.h"

namespace longwave::text::jinja {

/// Reads expressions from a row of tokens, with Jinja's precedences.
///
/// Errors     DataError at "where:line".
class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, std::string_view where)
      : tokens_(std::move(tokens)), where_(where) {}

 protected:
  /// While it lives, the template is one level deeper.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser);
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExpressionParser& parser_;
  };

  const Token& here() const { return tokens_[at_]; }
  const Token& ahead(size_t count) const;
  const Token& next();
  bool take_sign(std::string_view sign);
  bool take_name(std::string_view name);
  std::string expect(Token::Kind kind, std::string_view what);
  void expect_sign(std::string_view sign);
  void expect_name(std::string_view name);
  [[noreturn]] void fail(const std::string& what, const std::string& got) const;
  [[noreturn]] void unsupported(const std::string& what) const;

  /// An expression, or several with commas between: a list.
  ExpressionPtr tuple();
  /// With "x if condition else y".
  ExpressionPtr expression();
  /// Without, as the sequence of a loop.
  ExpressionPtr or_expression();

 private:
  ExpressionPtr make(Expression::Kind kind, std::string name = {}) const;
  ExpressionPtr binary(Expression::Kind kind, std::string name, ExpressionPtr left,
                       ExpressionPtr right) const;
  ExpressionPtr and_expression();
  ExpressionPtr not_expression();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr joined();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary();
  ExpressionPtr negated_primary();
  ExpressionPtr primary();
  ExpressionPtr postfix(ExpressionPtr of);
  ExpressionPtr filtered(ExpressionPtr of);
  ExpressionPtr test(ExpressionPtr of);
  ExpressionPtr subscript(ExpressionPtr of);
  ExpressionPtr list();
  ExpressionPtr dict();
  void arguments(Expression& call);

  std::vector<Token> tokens_;
  std::string_view where_;
  size_t at_ = 0;
  int64_t depth_ = 0;
};

}  // namespace longwave::text::jinja
