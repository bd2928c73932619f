// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/jinja/evaluate.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <type_traits>
#include <utility>

#include "longwave/text/jinja/builtins.h"

namespace longwave::text::jinja {
namespace {

using Kind = Expression::Kind;

/// How a body ended.
enum class Flow : uint8_t { kOn, kBreak, kContinue };

class Evaluator {
 public:
  Evaluator(const Dict& variables, std::string_view where) : scopes_{variables} {
    budget_.where = where;
  }

  std::string run(const Body& body) {
    std::string out;
    execute(body, out);
    return out;
  }

 private:
  using Scopes = std::vector<Dict>;

  Flow execute(const Body& body, std::string& out) {
    for (const Statement& statement : body) {
      budget_.line = statement.line;
      budget_.step();
      const Flow flow = execute(statement, out);
      if (flow != Flow::kOn) return flow;
    }
    return Flow::kOn;
  }

  Flow execute(const Statement& statement, std::string& out) {
    using Is = Statement::Kind;
    switch (statement.kind) {
      case Is::kData:
        print(statement.names[0], out);
        break;
      case Is::kOutput:
        print(to_text(value_of(*statement.value)), out);
        break;
      case Is::kIf:
        return execute_if(statement, out);
      case Is::kFor:
        return execute_for(statement, out);
      case Is::kSet:
        assign(statement.names, value_of(*statement.value));
        break;
      case Is::kSetEntry:
        set_entry(statement);
        break;
      case Is::kSetBlock: {
        std::string printed;
        const Flow flow = in_scope([&] { return execute(statement.bodies[0], printed); });
        set(statement.names[0], Value(std::move(printed)));
        return flow;
      }
      case Is::kMacro:
        macros_[statement.names[0]] = &statement;
        break;
      case Is::kBreak:
        return Flow::kBreak;
      case Is::kContinue:
        return Flow::kContinue;
    }
    return Flow::kOn;
  }

  void print(const std::string& text, std::string& out) {
    budget_.spend(text.size());
    out += text;
  }

  template <typename Work>
  std::invoke_result_t<const Work&> in_scope(const Work& work) {
    scopes_.emplace_back();
    const auto result = work();
    scopes_.pop_back();
    return result;
  }

  void set(const std::string& name, Value value) {
    for (auto& [known, old] : scopes_.back()) {
      if (known != name) continue;
      old = std::move(value);
      return;
    }
    scopes_.back().emplace_back(name, std::move(value));
  }

  void assign(const std::vector<std::string>& names, const Value& value) {
    if (names.size() == 1) return set(names[0], value);
    const List* parts = value.list();
    if (parts == nullptr || parts->size() != names.size()) {
      budget_.fail("the value is not made of " + std::to_string(names.size()) + " parts",
                   type_name(value));
    }
    for (size_t i = 0; i < names.size(); ++i) set(names[i], (*parts)[i]);
  }

  /// A namespace in itself would have no end.
  void refuse_namespace(const Value& value) const {
    if (value.is_namespace()) budget_.unsupported("a namespace inside another value");
  }

  void set_entry(const Statement& statement) {
    const Value space = variable(statement.names[0]);
    if (!space.is_namespace())
      budget_.fail("only a namespace's entries can be set", statement.names[0]);
    Value value = value_of(*statement.value);
    refuse_namespace(value);
    Dict& entries = *std::get<std::shared_ptr<Dict>>(space.kind);
    for (auto& [known, old] : entries) {
      if (known != statement.names[1]) continue;
      old = std::move(value);
      return;
    }
    budget_.spend(sizeof(Value));
    entries.emplace_back(statement.names[1], std::move(value));
  }

  Flow execute_if(const Statement& statement, std::string& out) {
    for (size_t i = 0; i < statement.conditions.size(); ++i) {
      if (value_of(*statement.conditions[i]).truthy()) return execute(statement.bodies[i], out);
    }
    if (statement.bodies.size() == statement.conditions.size()) return Flow::kOn;
    return execute(statement.bodies.back(), out);
  }

  Flow execute_for(const Statement& statement, std::string& out) {
    List items = items_of(budget_, value_of(*statement.value));
    if (!statement.conditions.empty()) {
      std::erase_if(items, [&](const Value& item) {
        return in_scope([&] {
          assign(statement.names, item);
          return !value_of(*statement.conditions[0]).truthy();
        });
      });
    }
    for (size_t i = 0; i < items.size(); ++i) {
      const Flow flow = in_scope([&] {
        assign(statement.names, items[i]);
        set("loop", loop_of(items, i));
        return execute(statement.bodies[0], out);
      });
      if (flow == Flow::kBreak) break;
    }
    if (!items.empty() || statement.bodies.size() < 2) return Flow::kOn;
    return execute(statement.bodies[1], out);
  }

  static Value loop_of(const List& items, size_t i) {
    const auto index = static_cast<int64_t>(i), count = static_cast<int64_t>(items.size());
    return Dict{{"index", index + 1},
                {"index0", index},
                {"revindex", count - index},
                {"revindex0", count - index - 1},
                {"first", i == 0},
                {"last", i + 1 == items.size()},
                {"length", count},
                {"previtem", i > 0 ? items[i - 1] : Value(Undefined{"previtem"})},
                {"nextitem", i + 1 < items.size() ? items[i + 1] : Value(Undefined{"nextitem"})}};
  }

  Value variable(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      const Value* found = find(*scope, name);
      if (found != nullptr) return *found;
    }
    return Undefined{name};
  }

  Arguments arguments_of(const Expression& call, size_t from) {
    Arguments arguments;
    for (size_t i = from; i < call.parts.size(); ++i) {
      arguments.values.push_back(value_of(*call.parts[i]));
    }
    for (const auto& [name, part] : call.named) arguments.named.emplace_back(name, value_of(*part));
    return arguments;
  }

  Value call_macro(const Statement& macro, const Arguments& arguments) {
    constexpr int64_t kDeepest = 50;
    if (calls_ >= kDeepest) budget_.fail("macros call each other too deeply", macro.names[0]);
    ++calls_;
    // A macro sees the variables of the template, not those of its caller.
    Scopes outside = std::exchange(scopes_, Scopes{scopes_.front()});
    scopes_.emplace_back();
    for (size_t i = 1; i < macro.names.size(); ++i) {
      const Value* given = arguments.at(i - 1, macro.names[i].c_str());
      const Expression* otherwise = macro.conditions[i - 1].get();
      set(macro.names[i], given != nullptr       ? *given
                          : otherwise != nullptr ? value_of(*otherwise)
                                                 : Value(Undefined{macro.names[i]}));
    }
    std::string printed;
    execute(macro.bodies[0], printed);
    scopes_ = std::move(outside);
    --calls_;
    return Value(std::move(printed));
  }

  Value value_of(const Expression& expression) {
    constexpr int64_t kDeepest = 3000;
    budget_.line = expression.line;
    budget_.step();
    if (depth_ >= kDeepest) budget_.fail("expressions are nested too deeply");
    ++depth_;
    Value value = evaluated(expression);
    --depth_;
    return value;
  }

  Value evaluated(const Expression& expression) {
    const auto part = [&](size_t i) { return value_of(*expression.parts[i]); };
    switch (expression.kind) {
      case Kind::kLiteral:
        return expression.literal;
      case Kind::kName:
        return variable(expression.name);
      case Kind::kList:
      case Kind::kDict:
        return collection(expression);
      case Kind::kAttribute:
        return entry_of(budget_, part(0), Value(expression.name));
      case Kind::kItem:
        return entry_of(budget_, part(0), part(1));
      case Kind::kSlice:
        return slice(expression);
      case Kind::kCall: {
        const auto macro = macros_.find(expression.name);
        if (macro != macros_.end()) return call_macro(*macro->second, arguments_of(expression, 0));
        const Arguments arguments = arguments_of(expression, 0);
        for (const auto& [name, value] : arguments.named) refuse_namespace(value);
        return call_function(budget_, expression.name, arguments);
      }
      case Kind::kMethod:
        return call_method(budget_, expression.name, part(0), arguments_of(expression, 1));
      case Kind::kFilter:
        return apply_filter(budget_, expression.name, part(0), arguments_of(expression, 1));
      case Kind::kTest:
        return passes_test(budget_, expression.name, part(0), arguments_of(expression, 1));
      case Kind::kNot:
        return !part(0).truthy();
      case Kind::kNegative:
        return operate(budget_, "-", Value(int64_t{0}), part(0));
      case Kind::kBinary: {
        const Value left = part(0);
        return operate(budget_, expression.name, left, part(1));
      }
      case Kind::kAnd: {
        Value left = part(0);
        return left.truthy() ? part(1) : left;
      }
      case Kind::kOr: {
        Value left = part(0);
        return left.truthy() ? left : part(1);
      }
      case Kind::kChoice:
        if (part(1).truthy()) return part(0);
        return expression.parts[2] == nullptr ? Value(Undefined{"else"}) : part(2);
    }
    return {};
  }

  Value slice(const Expression& expression) {
    const auto part = [&](size_t i) {
      return expression.parts[i] == nullptr ? Value() : value_of(*expression.parts[i]);
    };
    return slice_of(budget_, part(0), part(1), part(2), part(3));
  }

  Value collection(const Expression& expression) {
    List values;
    for (const ExpressionPtr& each : expression.parts) {
      values.push_back(value_of(*each));
      refuse_namespace(values.back());
    }
    if (expression.kind == Kind::kList) return budget_.list(std::move(values));
    Dict dict;
    budget_.spend(values.size() * sizeof(Value));
    for (size_t i = 0; i + 1 < values.size(); i += 2) {
      if (values[i].text() == nullptr) budget_.unsupported("a key that is no text");
      dict.emplace_back(*values[i].text(), values[i + 1]);
    }
    return dict;
  }

  Budget budget_;
  Scopes scopes_;
  std::map<std::string, const Statement*> macros_;
  int64_t calls_ = 0, depth_ = 0;
};

}  // namespace

std::string evaluate(const Body& body, const Dict& variables, std::string_view where) {
  return Evaluator(variables, where).run(body);
}

}  // namespace longwave::text::jinja
