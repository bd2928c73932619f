// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <optional>

#include "longwave/text/jinja/builtins.h"
#include "longwave/text/jinja/characters.h"

namespace longwave::text::jinja {
namespace {

bool contains(Budget& budget, const Value& whole, const Value& part) {
  if (const std::string* text = whole.text()) {
    if (part.text() == nullptr) budget.fail("in: text holds text only", type_name(part));
    return text->find(*part.text()) != std::string::npos;
  }
  if (const Dict* dict = whole.dict()) {
    return part.text() != nullptr && find(*dict, *part.text()) != nullptr;
  }
  return std::ranges::any_of(items_of(budget, whole),
                             [&part](const Value& each) { return equal(each, part); });
}

std::optional<bool> compared(const std::string& sign, const Value& left, const Value& right) {
  double a = 0, b = 0;
  int order = 0;
  if (left.number(a) && right.number(b)) {
    order = a < b ? -1 : a > b ? 1 : 0;
  } else if (left.text() && right.text()) {
    order = left.text()->compare(*right.text());
  } else {
    return std::nullopt;
  }
  if (sign == "<") return order < 0;
  if (sign == "<=") return order <= 0;
  if (sign == ">") return order > 0;
  return order >= 0;
}

Value calculated(Budget& budget, const std::string& sign, const Value& left, const Value& right) {
  double a = 0, b = 0;
  if (!left.number(a) || !right.number(b)) {
    budget.fail("the operator " + sign + " has nothing to say about these",
                std::string(type_name(left)) + " and " + type_name(right));
  }
  const bool divides = sign == "/" || sign == "//" || sign == "%";
  if (divides && b == 0) budget.fail("division by zero");
  if (sign == "/") return a / b;
  if (left.integer() == nullptr || right.integer() == nullptr) {
    if (sign == "//") return std::floor(a / b);
    if (sign == "%") return a - b * std::floor(a / b);
    return sign == "+" ? a + b : sign == "-" ? a - b : a * b;
  }
  const int64_t x = *left.integer(), y = *right.integer();
  int64_t result = 0;
  bool overflow = false;
  if (sign == "+") overflow = __builtin_add_overflow(x, y, &result);
  if (sign == "-") overflow = __builtin_sub_overflow(x, y, &result);
  if (sign == "*") overflow = __builtin_mul_overflow(x, y, &result);
  if (divides) {
    overflow = y == -1 && x == std::numeric_limits<int64_t>::min();
    if (!overflow) {
      // Python rounds towards minus infinity.
      const int64_t rest = x % y, turn = rest != 0 && (rest < 0) != (y < 0) ? 1 : 0;
      result = sign == "%" ? rest + turn * y : x / y - turn;
    }
  }
  if (overflow) budget.fail("a number is too large");
  return result;
}

Value added(Budget& budget, const Value& left, const Value& right) {
  if (left.text() && right.text()) return budget.text(*left.text() + *right.text());
  if (left.list() && right.list()) {
    List all = *left.list();
    all.insert(all.end(), right.list()->begin(), right.list()->end());
    return budget.list(std::move(all));
  }
  return calculated(budget, "+", left, right);
}

Value multiplied(Budget& budget, const Value& left, const Value& right) {
  if (left.text() == nullptr || right.integer() == nullptr) {
    return calculated(budget, "*", left, right);
  }
  const auto count =
      static_cast<size_t>(std::clamp<int64_t>(*right.integer(), 0, int64_t{1} << 32));
  if (left.text()->empty()) return left;
  budget.spend(count);
  budget.spend(count * left.text()->size());
  std::string result;
  for (size_t i = 0; i < count; ++i) result += *left.text();
  return Value(std::move(result));
}

}  // namespace

List items_of(Budget& budget, const Value& value) {
  List result;
  if (value.undefined()) return result;
  if (const List* list = value.list()) {
    result = *list;
  } else if (const Dict* dict = value.dict()) {
    for (const auto& [key, entry] : *dict) result.emplace_back(key);
  } else if (const std::string* text = value.text()) {
    for (const std::string_view one : characters_of(*text)) result.emplace_back(std::string(one));
  } else {
    budget.fail("there is nothing to go through", type_name(value));
  }
  budget.spend(result.size() * sizeof(Value));
  return result;
}

Value entry_of(Budget& budget, const Value& object, const Value& key) {
  if (object.undefined()) {
    budget.fail("an entry of what is not defined",
                std::get<Undefined>(object.kind).name + " has no " + to_text(key));
  }
  if (const Dict* dict = object.dict(); dict != nullptr && key.text() != nullptr) {
    const Value* found = find(*dict, *key.text());
    if (found != nullptr) return *found;
  }
  if (key.integer() != nullptr && (object.list() || object.text())) {
    const List items = items_of(budget, object);
    const int64_t size = static_cast<int64_t>(items.size());
    const int64_t at = *key.integer() < 0 ? *key.integer() + size : *key.integer();
    if (at >= 0 && at < size) return items[static_cast<size_t>(at)];
  }
  return Undefined{to_text(key)};
}

Value slice_of(Budget& budget, const Value& object, const Value& begin, const Value& end,
               const Value& step) {
  if (!object.list() && !object.text()) budget.fail("no slices of this", type_name(object));
  const List items = items_of(budget, object);
  const auto size = static_cast<int64_t>(items.size());
  const int64_t stride = step.integer() == nullptr ? 1 : *step.integer();
  if (stride == 0) budget.fail("the step of a slice is 0");
  const auto place = [&](const Value& value, int64_t otherwise) {
    if (value.none()) return otherwise;
    if (value.integer() == nullptr) budget.fail("a slice needs numbers", type_name(value));
    const int64_t at = *value.integer() < 0 ? *value.integer() + size : *value.integer();
    return stride > 0 ? std::clamp<int64_t>(at, 0, size) : std::clamp<int64_t>(at, -1, size - 1);
  };
  const int64_t first = place(begin, stride > 0 ? 0 : size - 1);
  const int64_t last = place(end, stride > 0 ? size : -1);
  List result;
  for (int64_t i = first; stride > 0 ? i < last : i > last;) {
    result.push_back(items[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, stride, &i)) break;
  }
  if (object.list()) return budget.list(std::move(result));
  return apply_filter(budget, "join", budget.list(std::move(result)), {});
}

Value operate(Budget& budget, const std::string& name, const Value& left, const Value& right) {
  if (name == "==") return equal(left, right);
  if (name == "!=") return !equal(left, right);
  if (name == "in") return contains(budget, right, left);
  if (name == "~") return budget.text(to_text(left) + to_text(right));
  if (name == "+") return added(budget, left, right);
  if (name == "*") return multiplied(budget, left, right);
  if (name.front() == '<' || name.front() == '>') {
    const std::optional<bool> result = compared(name, left, right);
    if (result) return *result;
    budget.fail("these have no order", std::string(type_name(left)) + " and " + type_name(right));
  }
  return calculated(budget, name, left, right);
}

}  // namespace longwave::text::jinja
