// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/jinja/expression_parser.h"

#include <algorithm>
#include <array>

#include "longwave/base/error.h"

namespace longwave::text::jinja {
namespace {

using Kind = Expression::Kind;

}  // namespace

ExpressionParser::Nesting::Nesting(ExpressionParser& parser) : parser_(parser) {
  constexpr int64_t kDeepest = 100;
  if (parser_.depth_ >= kDeepest) parser_.fail("the template is nested too deeply", {});
  ++parser_.depth_;
}

const Token& ExpressionParser::ahead(size_t count) const {
  return tokens_[std::min(at_ + count, tokens_.size() - 1)];
}

const Token& ExpressionParser::next() {
  const Token& token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool ExpressionParser::take_sign(std::string_view sign) {
  if (here().kind != Token::Kind::kSign || here().text != sign) return false;
  next();
  return true;
}

bool ExpressionParser::take_name(std::string_view name) {
  if (here().kind != Token::Kind::kName || here().text != name) return false;
  next();
  return true;
}

std::string ExpressionParser::expect(Token::Kind kind, std::string_view what) {
  if (here().kind != kind) fail("expected " + std::string(what), here().text);
  return next().text;
}

void ExpressionParser::expect_sign(std::string_view sign) {
  if (!take_sign(sign)) fail("expected " + std::string(sign), here().text);
}

void ExpressionParser::expect_name(std::string_view name) {
  if (!take_name(name)) fail("expected " + std::string(name), here().text);
}

void ExpressionParser::fail(const std::string& what, const std::string& got) const {
  throw DataError({.where = std::string(where_) + ":" + std::to_string(here().line),
                   .what = what,
                   .got = got,
                   .fix = {}});
}

void ExpressionParser::unsupported(const std::string& what) const {
  throw DataError({.where = std::string(where_) + ":" + std::to_string(here().line),
                   .what = what + " is not supported in chat templates",
                   .got = {},
                   .fix = "write the template without it"});
}

ExpressionPtr ExpressionParser::make(Kind kind, std::string name) const {
  auto result = std::make_unique<Expression>();
  result->kind = kind;
  result->line = here().line;
  result->name = std::move(name);
  return result;
}

ExpressionPtr ExpressionParser::binary(Kind kind, std::string name, ExpressionPtr left,
                                       ExpressionPtr right) const {
  ExpressionPtr result = make(kind, std::move(name));
  result->parts.push_back(std::move(left));
  result->parts.push_back(std::move(right));
  return result;
}

ExpressionPtr ExpressionParser::tuple() {
  ExpressionPtr first = expression();
  if (here().kind != Token::Kind::kSign || here().text != ",") return first;
  ExpressionPtr result = make(Kind::kList);
  result->parts.push_back(std::move(first));
  while (take_sign(",")) result->parts.push_back(expression());
  return result;
}

ExpressionPtr ExpressionParser::expression() {
  const Nesting nesting(*this);
  ExpressionPtr result = or_expression();
  while (take_name("if")) {
    ExpressionPtr condition = or_expression();
    result = binary(Kind::kChoice, {}, std::move(result), std::move(condition));
    result->parts.push_back(take_name("else") ? expression() : nullptr);
  }
  return result;
}

ExpressionPtr ExpressionParser::or_expression() {
  ExpressionPtr left = and_expression();
  while (take_name("or")) left = binary(Kind::kOr, {}, std::move(left), and_expression());
  return left;
}

ExpressionPtr ExpressionParser::and_expression() {
  ExpressionPtr left = not_expression();
  while (take_name("and")) left = binary(Kind::kAnd, {}, std::move(left), not_expression());
  return left;
}

ExpressionPtr ExpressionParser::not_expression() {
  if (!take_name("not")) return comparison();
  const Nesting nesting(*this);
  ExpressionPtr result = make(Kind::kNot);
  result->parts.push_back(not_expression());
  return result;
}

ExpressionPtr ExpressionParser::comparison() {
  static constexpr std::array<std::string_view, 6> kSigns = {"==", "!=", "<", "<=", ">", ">="};
  ExpressionPtr left = sum();
  while (true) {
    const bool sign =
        here().kind == Token::Kind::kSign && std::ranges::find(kSigns, here().text) != kSigns.end();
    if (sign) {
      const std::string name = next().text;
      left = binary(Kind::kBinary, name, std::move(left), sum());
    } else if (take_name("in")) {
      left = binary(Kind::kBinary, "in", std::move(left), sum());
    } else if (here().text == "not" && ahead(1).text == "in" && here().kind == Token::Kind::kName) {
      next();
      next();
      ExpressionPtr inside = binary(Kind::kBinary, "in", std::move(left), sum());
      left = make(Kind::kNot);
      left->parts.push_back(std::move(inside));
    } else {
      return left;
    }
  }
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = joined();
  while (true) {
    const std::string sign = here().kind == Token::Kind::kSign ? here().text : std::string();
    if (sign != "+" && sign != "-") return left;
    next();
    left = binary(Kind::kBinary, sign, std::move(left), joined());
  }
}

ExpressionPtr ExpressionParser::joined() {
  ExpressionPtr left = product();
  while (take_sign("~")) left = binary(Kind::kBinary, "~", std::move(left), product());
  return left;
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr left = power();
  while (true) {
    const std::string sign = here().kind == Token::Kind::kSign ? here().text : std::string();
    if (sign != "*" && sign != "/" && sign != "//" && sign != "%") return left;
    next();
    left = binary(Kind::kBinary, sign, std::move(left), power());
  }
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary();
  if (here().kind == Token::Kind::kSign && here().text == "**") unsupported("the operator **");
  return left;
}

ExpressionPtr ExpressionParser::unary() { return filtered(negated_primary()); }

ExpressionPtr ExpressionParser::negated_primary() {
  const Nesting nesting(*this);
  if (take_sign("-")) {
    ExpressionPtr result = make(Kind::kNegative);
    result->parts.push_back(negated_primary());
    return result;
  }
  if (take_sign("+")) return negated_primary();
  return postfix(primary());
}

ExpressionPtr ExpressionParser::primary() {
  const Nesting nesting(*this);
  const Token token = here();
  if (token.kind == Token::Kind::kName) {
    next();
    ExpressionPtr result = make(Kind::kLiteral);
    const std::string& name = token.text;
    if (name == "true" || name == "True") {
      result->literal = true;
    } else if (name == "false" || name == "False") {
      result->literal = false;
    } else if (name != "none" && name != "None") {
      result = make(Kind::kName, name);
    }
    return result;
  }
  if (token.kind == Token::Kind::kString) {
    ExpressionPtr result = make(Kind::kLiteral);
    std::string text;
    while (here().kind == Token::Kind::kString) text += next().text;
    result->literal = Value(std::move(text));
    return result;
  }
  if (token.kind == Token::Kind::kInteger || token.kind == Token::Kind::kReal) {
    ExpressionPtr result = make(Kind::kLiteral);
    next();
    if (token.kind == Token::Kind::kReal) {
      result->literal = std::stod(token.text);
    } else {
      result->literal = static_cast<int64_t>(std::stoll(token.text));
    }
    return result;
  }
  if (take_sign("(")) {
    if (take_sign(")")) return make(Kind::kList);
    ExpressionPtr result = tuple();
    expect_sign(")");
    return result;
  }
  if (take_sign("[")) return list();
  if (take_sign("{")) return dict();
  fail("expected an expression", token.text);
}

ExpressionPtr ExpressionParser::list() {
  ExpressionPtr result = make(Kind::kList);
  while (!take_sign("]")) {
    result->parts.push_back(expression());
    if (!take_sign(",") && here().text != "]") fail("expected , or ]", here().text);
  }
  return result;
}

ExpressionPtr ExpressionParser::dict() {
  ExpressionPtr result = make(Kind::kDict);
  while (!take_sign("}")) {
    result->parts.push_back(expression());
    expect_sign(":");
    result->parts.push_back(expression());
    if (!take_sign(",") && here().text != "}") fail("expected , or }", here().text);
  }
  return result;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr of) {
  while (true) {
    if (take_sign(".")) {
      const bool number = here().kind == Token::Kind::kInteger;
      if (number) unsupported("an index behind a dot");
      const std::string name = expect(Token::Kind::kName, "a name behind the dot");
      ExpressionPtr result = make(Kind::kAttribute, name);
      result->parts.push_back(std::move(of));
      if (take_sign("(")) {
        result->kind = Kind::kMethod;
        arguments(*result);
      }
      of = std::move(result);
    } else if (take_sign("[")) {
      of = subscript(std::move(of));
    } else if (here().kind == Token::Kind::kSign && here().text == "(") {
      if (of->kind != Kind::kName) unsupported("a call of what is no name");
      next();
      ExpressionPtr result = make(Kind::kCall, of->name);
      arguments(*result);
      of = std::move(result);
    } else {
      return of;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr of) {
  ExpressionPtr result = make(Kind::kItem);
  result->parts.push_back(std::move(of));
  const auto part = [this]() -> ExpressionPtr {
    const bool nothing = here().text == ":" || here().text == "]";
    return here().kind == Token::Kind::kSign && nothing ? nullptr : expression();
  };
  result->parts.push_back(part());
  while (take_sign(":") && result->parts.size() < 4) {
    result->kind = Kind::kSlice;
    result->parts.push_back(part());
  }
  expect_sign("]");
  if (result->kind == Kind::kSlice) result->parts.resize(4);
  if (result->kind == Kind::kItem && result->parts[1] == nullptr) fail("an index is missing", "[]");
  return result;
}

void ExpressionParser::arguments(Expression& call) {
  while (!take_sign(")")) {
    if (here().text == "*" || here().text == "**") unsupported("an argument with a star");
    if (here().kind == Token::Kind::kName && ahead(1).kind == Token::Kind::kSign &&
        ahead(1).text == "=") {
      const std::string name = next().text;
      next();
      call.named.emplace_back(name, expression());
    } else {
      call.parts.push_back(expression());
    }
    if (!take_sign(",") && here().text != ")") fail("expected , or )", here().text);
  }
}

ExpressionPtr ExpressionParser::filtered(ExpressionPtr of) {
  while (true) {
    if (take_sign("|")) {
      ExpressionPtr result =
          make(Kind::kFilter, expect(Token::Kind::kName, "the name of a filter"));
      result->parts.push_back(std::move(of));
      if (take_sign("(")) arguments(*result);
      of = std::move(result);
    } else if (take_name("is")) {
      of = test(std::move(of));
    } else {
      return of;
    }
  }
}

ExpressionPtr ExpressionParser::test(ExpressionPtr of) {
  static constexpr std::array<std::string_view, 5> kNoOperand = {"else", "or", "and", "is", "if"};
  const bool negated = take_name("not");
  ExpressionPtr result = make(Kind::kTest, expect(Token::Kind::kName, "the name of a test"));
  result->parts.push_back(std::move(of));
  if (take_sign("(")) {
    arguments(*result);
  } else {
    const bool word = here().kind == Token::Kind::kName &&
                      std::ranges::find(kNoOperand, here().text) == kNoOperand.end() &&
                      here().text != "not" && here().text != "in";
    const bool value = here().kind == Token::Kind::kString ||
                       here().kind == Token::Kind::kInteger || here().kind == Token::Kind::kReal ||
                       here().text == "[" || here().text == "{";
    if (word || value) result->parts.push_back(postfix(primary()));
  }
  if (!negated) return result;
  ExpressionPtr outer = make(Kind::kNot);
  outer->parts.push_back(std::move(result));
  return outer;
}

}  // namespace longwave::text::jinja
