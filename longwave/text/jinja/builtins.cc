// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/jinja/builtins.h"

#include <array>
#include <cstdint>
#include <ctime>

#include "longwave/base/error.h"
#include "longwave/text/jinja/characters.h"

namespace longwave::text::jinja {

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

std::string Arguments::text(Budget& budget, size_t place, const char* name) const {
  const Value* given = at(place, name);
  if (given == nullptr || given->none()) return {};
  if (given->text() == nullptr) budget.fail("an argument must be text", type_name(*given));
  return *given->text();
}

int64_t Arguments::whole(Budget& budget, size_t place, const char* name, int64_t otherwise) const {
  const Value* given = at(place, name);
  if (given == nullptr || given->none()) return otherwise;
  if (given->integer() == nullptr) budget.fail("an argument must be a number", type_name(*given));
  return *given->integer();
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
    if (name == "items") return apply_filter(budget, name, value, arguments);
    if (name == "keys" || name == "values") {
      List result;
      for (const auto& [key, entry] : *dict) result.push_back(name == "keys" ? Value(key) : entry);
      return budget.list(std::move(result));
    }
    if (name == "get") {
      const Value* found = find(*dict, arguments.text(budget, 0, "key"));
      if (found != nullptr) return *found;
      const Value* given = arguments.at(1, "default");
      return given == nullptr ? Value() : *given;
    }
  }
  if (const std::string* text = value.text()) {
    const std::string of =
        name == "join" || name == "format" ? std::string() : arguments.text(budget, 0, "chars");
    if (name == "strip") return budget.text(std::string(stripped(*text, Side::kBoth, of)));
    if (name == "lstrip") return budget.text(std::string(stripped(*text, Side::kLeft, of)));
    if (name == "rstrip") return budget.text(std::string(stripped(*text, Side::kRight, of)));
    if (name == "startswith") return text->starts_with(of);
    if (name == "endswith") return text->ends_with(of);
    if (name == "upper") return budget.text(with_case(*text, Case::kUpper));
    if (name == "lower") return budget.text(with_case(*text, Case::kLower));
    if (name == "title") return budget.text(with_case(*text, Case::kTitle));
    if (name == "capitalize") return budget.text(with_case(*text, Case::kFirst));
    if (name == "replace") return apply_filter(budget, name, value, arguments);
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
      for (std::string& part : split_at(*text, of, arguments.whole(budget, 1, "maxsplit", -1))) {
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
                     .got = arguments.text(budget, 0, "message"),
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
    const int64_t begin = one ? 0 : arguments.whole(budget, 0, "start", 0),
                  end = arguments.whole(budget, one ? 0 : 1, "stop", 0),
                  step = arguments.whole(budget, 2, "step", 1);
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
    const std::string format = arguments.text(budget, 0, "format");
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
