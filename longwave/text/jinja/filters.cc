// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "longwave/text/jinja/builtins.h"
#include "longwave/text/jinja/characters.h"

namespace longwave::text::jinja {
namespace {

using Filter = Value (*)(Budget&, const Value&, const Arguments&);

template <Case kind>
Value to_case(Budget& budget, const Value& value, const Arguments&) {
  return budget.text(with_case(to_text(value), kind));
}

Value trim(Budget& budget, const Value& value, const Arguments& arguments) {
  return budget.text(
      std::string(stripped(to_text(value), Side::kBoth, arguments.text(budget, 0, "chars"))));
}

Value length(Budget& budget, const Value& value, const Arguments&) {
  if (const std::string* text = value.text()) {
    return static_cast<int64_t>(characters_of(*text).size());
  }
  if (value.undefined()) return int64_t{0};
  return static_cast<int64_t>(items_of(budget, value).size());
}

Value otherwise(Budget&, const Value& value, const Arguments& arguments) {
  const Value* given = arguments.at(0, "default_value");
  const Value* also_false = arguments.at(1, "boolean");
  const bool missing =
      value.undefined() || (also_false != nullptr && also_false->truthy() && !value.truthy());
  if (!missing) return value;
  return given == nullptr ? Value("") : *given;
}

Value as_json(Budget& budget, const Value& value, const Arguments& arguments) {
  return budget.text(
      to_json(value, std::clamp<int64_t>(arguments.whole(budget, 0, "indent", -1), -1, 16)));
}

Value join(Budget& budget, const Value& value, const Arguments& arguments) {
  const std::string between = arguments.text(budget, 0, "d");
  std::string result;
  size_t count = 0;
  for (const Value& part : items_of(budget, value)) {
    if (count++ > 0) result += between;
    result += to_text(part);
    if (result.size() > static_cast<size_t>(budget.bytes)) budget.spend(result.size());
  }
  return budget.text(std::move(result));
}

Value first(Budget& budget, const Value& value, const Arguments&) {
  const List items = items_of(budget, value);
  return items.empty() ? Value(Undefined{"first"}) : items.front();
}

Value last(Budget& budget, const Value& value, const Arguments&) {
  const List items = items_of(budget, value);
  return items.empty() ? Value(Undefined{"last"}) : items.back();
}

Value reversed(Budget& budget, const Value& value, const Arguments&) {
  List items = items_of(budget, value);
  std::ranges::reverse(items);
  if (value.text() == nullptr) return budget.list(std::move(items));
  return join(budget, budget.list(std::move(items)), {});
}

Value as_list(Budget& budget, const Value& value, const Arguments&) {
  return budget.list(items_of(budget, value));
}

Value as_text(Budget& budget, const Value& value, const Arguments&) {
  return budget.text(to_text(value));
}

Value as_whole(Budget&, const Value& value, const Arguments&) {
  double number = 0;
  if (const std::string* text = value.text()) {
    int64_t whole = 0;
    const std::string_view digits = stripped(*text, Side::kBoth);
    std::from_chars(digits.data(), digits.data() + digits.size(), whole);
    return whole;
  }
  const bool fits = value.number(number) && number > -9e18 && number < 9e18;
  return fits ? static_cast<int64_t>(number) : int64_t{0};
}

Value replace(Budget& budget, const Value& value, const Arguments& arguments) {
  const std::string text = to_text(value), from = arguments.text(budget, 0, "old"),
                    to = arguments.text(budget, 1, "new");
  // How much longer the text can get, before it is made.
  if (!from.empty()) budget.spend(text.size() / from.size() * to.size());
  return budget.text(replaced(text, from, to, arguments.whole(budget, 2, "count", -1)));
}

Value indent(Budget& budget, const Value& value, const Arguments& arguments) {
  const int64_t width = std::clamp<int64_t>(arguments.whole(budget, 0, "width", 4), 0, 100);
  const Value* too = arguments.at(1, "first");
  const std::string blanks(static_cast<size_t>(width), ' ');
  std::string result = too != nullptr && too->truthy() ? blanks : std::string();
  const std::string text = to_text(value);
  for (size_t i = 0; i < text.size(); ++i) {
    result += text[i];
    if (text[i] == '\n' && i + 1 < text.size() && text[i + 1] != '\n') result += blanks;
  }
  return budget.text(std::move(result));
}

Value items(Budget& budget, const Value& value, const Arguments&) {
  if (value.undefined()) return List{};
  if (value.dict() == nullptr) budget.fail("items needs a dictionary", type_name(value));
  List pairs;
  for (const auto& [key, entry] : *value.dict()) pairs.push_back(List{Value(key), entry});
  return budget.list(std::move(pairs));
}

Value sorted_items(Budget& budget, const Value& value, const Arguments& arguments) {
  List pairs = *items(budget, value, arguments).list();
  std::ranges::stable_sort(pairs, {}, [](const Value& pair) {
    return with_case(*pair.list()->front().text(), Case::kLower);
  });
  return budget.list(std::move(pairs));
}

Value mapped(Budget& budget, const Value& value, const Arguments& arguments) {
  const Value* attribute = find(arguments.named, "attribute");
  List result;
  Arguments rest = arguments;
  if (attribute == nullptr) {
    if (rest.values.empty()) budget.fail("map needs a filter or an attribute");
    rest.values.erase(rest.values.begin());
  }
  for (const Value& part : items_of(budget, value)) {
    result.push_back(attribute != nullptr
                         ? entry_of(budget, part, *attribute)
                         : apply_filter(budget, to_text(arguments.values[0]), part, rest));
  }
  return budget.list(std::move(result));
}

enum class Keep : uint8_t { kPassing, kFailing };

template <Keep keep, bool by_attribute>
Value chosen(Budget& budget, const Value& value, const Arguments& arguments) {
  Arguments rest = arguments;
  const auto take = [&rest] {
    const Value taken = rest.values.front();
    rest.values.erase(rest.values.begin());
    return taken;
  };
  if (by_attribute && rest.values.empty()) budget.fail("selectattr needs an attribute");
  const Value attribute = by_attribute ? take() : Value();
  const std::string test = rest.values.empty() ? std::string() : to_text(take());
  List result;
  for (const Value& part : items_of(budget, value)) {
    const Value subject = by_attribute ? entry_of(budget, part, attribute) : part;
    const bool passes = test.empty() ? subject.truthy() : passes_test(budget, test, subject, rest);
    if (passes == (keep == Keep::kPassing)) result.push_back(part);
  }
  return budget.list(std::move(result));
}

Value same(Budget&, const Value& value, const Arguments&) { return value; }

constexpr std::pair<std::string_view, Filter> kFilters[] = {
    {"trim", trim},
    {"length", length},
    {"count", length},
    {"default", otherwise},
    {"d", otherwise},
    {"tojson", as_json},
    {"join", join},
    {"first", first},
    {"last", last},
    {"reverse", reversed},
    {"list", as_list},
    {"string", as_text},
    {"int", as_whole},
    {"replace", replace},
    {"indent", indent},
    {"items", items},
    {"dictsort", sorted_items},
    {"map", mapped},
    {"selectattr", chosen<Keep::kPassing, true>},
    {"rejectattr", chosen<Keep::kFailing, true>},
    {"select", chosen<Keep::kPassing, false>},
    {"reject", chosen<Keep::kFailing, false>},
    {"upper", to_case<Case::kUpper>},
    {"lower", to_case<Case::kLower>},
    {"title", to_case<Case::kTitle>},
    {"capitalize", to_case<Case::kFirst>},
    {"safe", same},
};

}  // namespace

Value apply_filter(Budget& budget, const std::string& name, const Value& value,
                   const Arguments& arguments) {
  for (const auto& [known, filter] : kFilters) {
    if (known == name) return filter(budget, value, arguments);
  }
  budget.unsupported("the filter " + name);
}

}  // namespace longwave::text::jinja
