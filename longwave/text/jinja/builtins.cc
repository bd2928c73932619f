// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/jinja/builtins.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <ctime>
#include <optional>

#include "longwave/base/error.h"
#include "longwave/text/jinja/characters.h"

namespace longwave::text::jinja {
namespace {

using Filter = Value (*)(Budget&, const Value&, const Arguments&);

std::string text_argument(Budget& budget, const Arguments& arguments, size_t place,
                          const char* name) {
  const Value* given = arguments.at(place, name);
  if (given == nullptr || given->none()) return {};
  if (given->text() == nullptr) budget.fail("an argument must be text", type_name(*given));
  return *given->text();
}

int64_t whole_argument(Budget& budget, const Arguments& arguments, size_t place, const char* name,
                       int64_t otherwise) {
  const Value* given = arguments.at(place, name);
  if (given == nullptr || given->none()) return otherwise;
  if (given->integer() == nullptr) budget.fail("an argument must be a number", type_name(*given));
  return *given->integer();
}

template <Case kind>
Value to_case(Budget& budget, const Value& value, const Arguments&) {
  return budget.text(with_case(to_text(value), kind));
}

Value trim(Budget& budget, const Value& value, const Arguments& arguments) {
  return budget.text(std::string(
      stripped(to_text(value), Side::kBoth, text_argument(budget, arguments, 0, "chars"))));
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
  return budget.text(to_json(
      value, std::clamp<int64_t>(whole_argument(budget, arguments, 0, "indent", -1), -1, 16)));
}

Value join(Budget& budget, const Value& value, const Arguments& arguments) {
  const std::string between = text_argument(budget, arguments, 0, "d");
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
  const std::string text = to_text(value), from = text_argument(budget, arguments, 0, "old"),
                    to = text_argument(budget, arguments, 1, "new");
  // How much longer the text can get, before it is made.
  if (!from.empty()) budget.spend(text.size() / from.size() * to.size());
  return budget.text(replaced(text, from, to, whole_argument(budget, arguments, 2, "count", -1)));
}

Value indent(Budget& budget, const Value& value, const Arguments& arguments) {
  const int64_t width =
      std::clamp<int64_t>(whole_argument(budget, arguments, 0, "width", 4), 0, 100);
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

void Budget::fail(const std::string& what, const std::string& got) const {
  throw DataError(
      {.where = where + ":" + std::to_string(line), .what = what, .got = got, .fix = {}});
}

void Budget::unsupported(const std::string& what) const {
  throw DataError({.where = where + ":" + std::to_string(line),
                   .what = what + " is not supported in chat templates",
                   .got = {},
                   .fix = "write the template without it"});
}

void Budget::step() {
  if (--steps < 0) fail("the template does not end", "2000000 steps");
}

void Budget::spend(size_t count) {
  if (static_cast<uint64_t>(bytes) < count) fail("the template makes too much text", "64 MiB");
  bytes -= static_cast<int64_t>(count);
}

Value Budget::text(std::string value) {
  spend(value.size());
  return Value(std::move(value));
}

Value Budget::list(List value) {
  spend(value.size() * sizeof(Value));
  return Value(std::move(value));
}

const Value* Arguments::at(size_t place, const char* name) const {
  if (place < values.size()) return &values[place];
  return find(named, name);
}

Value apply_filter(Budget& budget, const std::string& name, const Value& value,
                   const Arguments& arguments) {
  for (const auto& [known, filter] : kFilters) {
    if (known == name) return filter(budget, value, arguments);
  }
  budget.unsupported("the filter " + name);
}

bool passes_test(Budget& budget, const std::string& name, const Value& value,
                 const Arguments& arguments) {
  double number = 0;
  const bool truth = value.truth_value() != nullptr;
  if (name == "defined") return !value.undefined();
  if (name == "undefined") return value.undefined();
  if (name == "none") return value.none();
  if (name == "string") return value.text() != nullptr;
  if (name == "mapping") return value.dict() != nullptr;
  if (name == "iterable" || name == "sequence") {
    return value.text() || value.list() || value.dict() || value.undefined();
  }
  if (name == "boolean") return truth;
  if (name == "number") return value.number(number);
  if (name == "integer") return value.integer() != nullptr;
  if (name == "float") return std::holds_alternative<double>(value.kind);
  if (name == "true") return truth && *value.truth_value();
  if (name == "false") return truth && !*value.truth_value();
  if (name == "odd" || name == "even") {
    if (value.integer() == nullptr) budget.fail(name + " needs a number", type_name(value));
    return (*value.integer() % 2 != 0) == (name == "odd");
  }
  const Value* other = arguments.at(0, "other");
  static constexpr std::array<std::pair<std::string_view, const char*>, 12> kComparisons = {
      {{"eq", "=="},
       {"equalto", "=="},
       {"ne", "!="},
       {"in", "in"},
       {"lt", "<"},
       {"le", "<="},
       {"gt", ">"},
       {"ge", ">="},
       {"==", "=="},
       {"!=", "!="},
       {"lessthan", "<"},
       {"greaterthan", ">"}}};
  for (const auto& [known, sign] : kComparisons) {
    if (known != name) continue;
    if (other == nullptr) budget.fail("the test " + name + " needs a value");
    return operate(budget, sign, value, *other).truthy();
  }
  budget.unsupported("the test " + name);
}

Value call_method(Budget& budget, const std::string& name, const Value& value,
                  const Arguments& arguments) {
  if (value.undefined()) {
    budget.fail("a method of what is not defined", std::get<Undefined>(value.kind).name);
  }
  if (const Dict* dict = value.dict()) {
    if (name == "items") return items(budget, value, arguments);
    if (name == "keys" || name == "values") {
      List result;
      for (const auto& [key, entry] : *dict) result.push_back(name == "keys" ? Value(key) : entry);
      return budget.list(std::move(result));
    }
    if (name == "get") {
      const Value* found = find(*dict, text_argument(budget, arguments, 0, "key"));
      if (found != nullptr) return *found;
      const Value* given = arguments.at(1, "default");
      return given == nullptr ? Value() : *given;
    }
  }
  if (const std::string* text = value.text()) {
    const std::string of = name == "join" || name == "format"
                               ? std::string()
                               : text_argument(budget, arguments, 0, "chars");
    if (name == "strip") return budget.text(std::string(stripped(*text, Side::kBoth, of)));
    if (name == "lstrip") return budget.text(std::string(stripped(*text, Side::kLeft, of)));
    if (name == "rstrip") return budget.text(std::string(stripped(*text, Side::kRight, of)));
    if (name == "startswith") return text->starts_with(of);
    if (name == "endswith") return text->ends_with(of);
    if (name == "upper") return budget.text(with_case(*text, Case::kUpper));
    if (name == "lower") return budget.text(with_case(*text, Case::kLower));
    if (name == "title") return budget.text(with_case(*text, Case::kTitle));
    if (name == "capitalize") return budget.text(with_case(*text, Case::kFirst));
    if (name == "replace") return replace(budget, value, arguments);
    if (name == "find") {
      const size_t found = text->find(of);
      if (found == std::string::npos) return int64_t{-1};
      return static_cast<int64_t>(characters_of(std::string_view(*text).substr(0, found)).size());
    }
    if (name == "count") {
      int64_t count = 0;
      for (size_t at = 0; !of.empty() && (at = text->find(of, at)) != std::string::npos;
           at += of.size()) {
        ++count;
      }
      return count;
    }
    if (name == "split") {
      List parts;
      for (std::string& part :
           split_at(*text, of, whole_argument(budget, arguments, 1, "maxsplit", -1))) {
        parts.push_back(budget.text(std::move(part)));
      }
      return budget.list(std::move(parts));
    }
  }
  budget.unsupported(std::string("the method ") + name + " of " + type_name(value));
}

Value call_function(Budget& budget, const std::string& name, const Arguments& arguments) {
  if (name == "raise_exception") {
    throw DataError({.where = budget.where,
                     .what = "the chat template refuses these messages",
                     .got = text_argument(budget, arguments, 0, "message"),
                     .fix = {}});
  }
  if (name == "namespace" || name == "dict") {
    if (!arguments.values.empty()) budget.unsupported(name + " of what has no name");
    budget.spend(arguments.named.size() * sizeof(Value));
    return name == "dict" ? Value(arguments.named) : Value::make_namespace(arguments.named);
  }
  if (name == "range") {
    constexpr int64_t kMost = 100'000;
    const bool one = arguments.values.size() == 1;
    const int64_t begin = one ? 0 : whole_argument(budget, arguments, 0, "start", 0),
                  end = whole_argument(budget, arguments, one ? 0 : 1, "stop", 0),
                  step = whole_argument(budget, arguments, 2, "step", 1);
    if (step == 0) budget.fail("the step of a range is 0");
    List result;
    for (int64_t i = begin; step > 0 ? i < end : i > end;) {
      if (static_cast<int64_t>(result.size()) >= kMost) budget.fail("a range is too long");
      result.emplace_back(i);
      if (__builtin_add_overflow(i, step, &i)) break;
    }
    return budget.list(std::move(result));
  }
  if (name == "strftime_now") {
    const std::string format = text_argument(budget, arguments, 0, "format");
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    localtime_r(&now, &parts);
    std::array<char, 256> buffer{};
    const size_t size = std::strftime(buffer.data(), buffer.size(), format.c_str(), &parts);
    return budget.text({buffer.data(), size});
  }
  budget.unsupported("the function " + name);
}

}  // namespace longwave::text::jinja
