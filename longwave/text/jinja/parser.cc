// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "longwave/base/error.h"
#include "longwave/text/jinja/expression_parser.h"
#include "longwave/text/jinja/syntax.h"

namespace longwave::text::jinja {
namespace {

using Kind = Token::Kind;

class Parser : ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Body whole() {
    Body body = statements({});
    if (here().kind != Kind::kEnd) unsupported("the tag " + tag_name() + " here");
    return body;
  }

 private:
  /// The word behind a tag's brace.
  std::string tag_name() const { return ahead(1).kind == Kind::kName ? ahead(1).text : ""; }

  void close() { expect(Kind::kTagEnd, "the end of the tag"); }

  /// Everything up to a tag whose name is one of the ends.
  Body statements(std::initializer_list<std::string_view> ends) {
    const Nesting nesting(*this);
    Body body;
    while (here().kind != Kind::kEnd) {
      if (here().kind == Kind::kData) {
        Statement data{.kind = Statement::Kind::kData, .line = here().line};
        data.names.push_back(next().text);
        body.push_back(std::move(data));
      } else if (here().kind == Kind::kOutBegin) {
        next();
        Statement output{.kind = Statement::Kind::kOutput, .line = here().line};
        output.value = tuple();
        expect(Kind::kOutEnd, "}}");
        body.push_back(std::move(output));
      } else {
        if (std::ranges::find(ends, tag_name()) != ends.end()) return body;
        statement(body);
      }
    }
    if (ends.size() > 0)
      fail("the template ends too early", std::string(*ends.begin()) + " is missing");
    return body;
  }

  void statement(Body& body) {
    next();
    const std::string name = expect(Kind::kName, "the name of a tag");
    Statement statement{.line = here().line};
    if (name == "if") {
      read_if(statement);
    } else if (name == "for") {
      read_for(statement);
    } else if (name == "set") {
      read_set(statement);
    } else if (name == "macro") {
      read_macro(statement);
    } else if (name == "break" || name == "continue") {
      if (loops_ == 0) fail("outside of a loop", name);
      statement.kind = name == "break" ? Statement::Kind::kBreak : Statement::Kind::kContinue;
      close();
    } else if (name == "generation") {
      // Marks what the model says, for training.
      close();
      for (Statement& each : block("endgeneration")) body.push_back(std::move(each));
      return;
    } else {
      unsupported("the tag " + name);
    }
    body.push_back(std::move(statement));
  }

  /// A body and the tag that ends it.
  Body block(std::string_view end) {
    Body body = statements({end});
    next();
    next();
    close();
    return body;
  }

  void read_if(Statement& statement) {
    statement.kind = Statement::Kind::kIf;
    statement.conditions.push_back(expression());
    close();
    while (true) {
      statement.bodies.push_back(statements({"endif", "elif", "else"}));
      next();
      const std::string name = next().text;
      if (name == "elif" && statement.conditions.size() == statement.bodies.size()) {
        statement.conditions.push_back(expression());
      } else if (name == "else" && statement.conditions.size() == statement.bodies.size()) {
        close();
        statement.bodies.push_back(block("endif"));
        return;
      } else if (name != "endif") {
        fail("out of place", name);
      }
      close();
      if (name == "endif") return;
    }
  }

  void read_for(Statement& statement) {
    statement.kind = Statement::Kind::kFor;
    names(statement);
    expect_name("in");
    statement.value = or_expression();
    if (take_name("if")) statement.conditions.push_back(expression());
    if (here().kind == Kind::kName && here().text == "recursive") unsupported("a recursive loop");
    close();
    ++loops_;
    statement.bodies.push_back(statements({"endfor", "else"}));
    --loops_;
    next();
    if (next().text == "else") {
      close();
      statement.bodies.push_back(block("endfor"));
      return;
    }
    close();
  }

  void names(Statement& statement) {
    const bool bracket = take_sign("(");
    do {
      statement.names.push_back(expect(Kind::kName, "the name of a variable"));
    } while (take_sign(","));
    if (bracket) expect_sign(")");
  }

  void read_set(Statement& statement) {
    statement.kind = Statement::Kind::kSet;
    names(statement);
    if (take_sign(".")) {
      statement.kind = Statement::Kind::kSetEntry;
      statement.names.push_back(expect(Kind::kName, "the name of an entry"));
    }
    if (take_sign("=")) {
      statement.value = tuple();
      close();
      return;
    }
    if (statement.kind != Statement::Kind::kSet || statement.names.size() != 1)
      fail("= is missing", {});
    if (here().kind != Kind::kTagEnd) unsupported("a filter of a set block");
    statement.kind = Statement::Kind::kSetBlock;
    close();
    statement.bodies.push_back(block("endset"));
  }

  void read_macro(Statement& statement) {
    statement.kind = Statement::Kind::kMacro;
    statement.names.push_back(expect(Kind::kName, "the name of the macro"));
    expect_sign("(");
    while (!take_sign(")")) {
      statement.names.push_back(expect(Kind::kName, "the name of a parameter"));
      statement.conditions.push_back(take_sign("=") ? expression() : nullptr);
      if (!take_sign(",") && !(here().kind == Kind::kSign && here().text == ")")) {
        fail("a macro's parameters are separated by commas", here().text);
      }
    }
    close();
    const int64_t outside = std::exchange(loops_, 0);
    statement.bodies.push_back(block("endmacro"));
    loops_ = outside;
  }

  int64_t loops_ = 0;
};

}  // namespace

Body parse(std::string_view source, std::string_view where) {
  return Parser(lex(source, where), where).whole();
}

}  // namespace longwave::text::jinja
