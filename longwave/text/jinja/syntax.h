// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "longwave/text/jinja/value.h"

namespace longwave::text::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

/// A part of an expression; which of the members count depends on the kind.
struct Expression {
  enum class Kind : uint8_t {
    kLiteral,
    kName,
    kList,       ///< parts
    kDict,       ///< keys and values in turn
    kAttribute,  ///< parts[0].name
    kItem,       ///< parts[0][parts[1]]
    kSlice,      ///< parts[0][parts[1]:parts[2]:parts[3]], null where left out
    kCall,       ///< name(parts..., named...)
    kMethod,     ///< parts[0].name(parts[1...], named...)
    kFilter,     ///< parts[0] | name(parts[1...], named...)
    kTest,       ///< parts[0] is name(parts[1...])
    kNot,
    kNegative,
    kBinary,  ///< parts[0] name parts[1]
    kAnd,
    kOr,
    kChoice,  ///< parts[0] if parts[1] else parts[2], which may be null
  };
  Kind kind = Kind::kLiteral;
  int64_t line = 0;
  std::string name = {};
  Value literal = {};
  std::vector<ExpressionPtr> parts = {};
  std::vector<std::pair<std::string, ExpressionPtr>> named = {};
};

struct Statement;
using Body = std::vector<Statement>;

/// A part of a template.
struct Statement {
  enum class Kind : uint8_t {
    kData,      ///< names[0] as it is
    kOutput,    ///< value
    kIf,        ///< branches: conditions[i] and bodies[i]; one more body for "else"
    kFor,       ///< names, value, conditions[0] if any, bodies[0], bodies[1] for "else"
    kSet,       ///< names = value
    kSetEntry,  ///< names[0].names[1] = value
    kSetBlock,  ///< names[0] = what bodies[0] prints
    kMacro,     ///< names[0](names[1...]) with defaults[i] or null; bodies[0]
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kData;
  int64_t line = 0;
  std::vector<std::string> names = {};
  ExpressionPtr value = {};
  std::vector<ExpressionPtr> conditions = {};
  std::vector<Body> bodies = {};
};

/// Reads a template.
///
/// Supported: text, {{ }}, {# #}, if, for (with a condition, else, break, continue), set, macro,
/// generation (ignored) and the expressions above. Everything else is refused by its name.
///
/// Errors     DataError at "where:line"; also if it is nested too deeply.
Body parse(std::string_view source, std::string_view where);

}  // namespace longwave::text::jinja
