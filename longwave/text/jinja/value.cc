// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/jinja/value.h"

#include <fmt/core.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace longwave::text::jinja {
namespace {

using Json = nlohmann::ordered_json;

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return fmt::format("{}", value).find_first_of(".e") == std::string::npos
             ? fmt::format("{:.1f}", value)
             : fmt::format("{}", value);
}

std::string quoted(const std::string& text) {
  const char quote =
      text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
  std::string result(1, quote);
  for (const char c : text) {
    if (c == quote || c == '\\') result += '\\';
    if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (c == '\r') {
      result += "\\r";
    } else {
      result += c;
    }
  }
  return result + quote;
}

std::string json_text(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// The parts of a list or dictionary between brackets, as json.dumps lays them out.
template <typename Parts, typename Each>
std::string json_parts(const Parts& parts, const char* brackets, int64_t indent, int64_t depth,
                       const Each& each) {
  if (parts.empty()) return std::string(brackets, 2);
  const auto line = [&](int64_t level) {
    return indent < 0 ? std::string()
                      : "\n" + std::string(static_cast<size_t>(indent * level), ' ');
  };
  std::string result(1, brackets[0]);
  const char* between = "";
  for (const auto& part : parts) {
    result += between + line(depth + 1) + each(part);
    between = indent < 0 ? ", " : ",";
  }
  return result + line(depth) + brackets[1];
}

std::string json_of(const Value& value, int64_t indent, int64_t depth) {
  if (const std::string* text = value.text()) return json_text(*text);
  if (const bool* truth = value.truth_value()) return *truth ? "true" : "false";
  if (value.none() || value.undefined()) return "null";
  if (const List* list = value.list()) {
    return json_parts(*list, "[]", indent, depth,
                      [&](const Value& part) { return json_of(part, indent, depth + 1); });
  }
  if (const Dict* dict = value.dict()) {
    return json_parts(*dict, "{}", indent, depth, [&](const auto& part) {
      return json_text(part.first) + ": " + json_of(part.second, indent, depth + 1);
    });
  }
  return to_text(value);
}

}  // namespace

Value Value::make_namespace(Dict entries) {
  Value value;
  value.kind = std::make_shared<Dict>(std::move(entries));
  return value;
}

const List* Value::list() const {
  const auto* found = std::get_if<std::shared_ptr<const List>>(&kind);
  return found == nullptr ? nullptr : found->get();
}

const Dict* Value::dict() const {
  if (const auto* space = std::get_if<std::shared_ptr<Dict>>(&kind)) return space->get();
  const auto* found = std::get_if<std::shared_ptr<const Dict>>(&kind);
  return found == nullptr ? nullptr : found->get();
}

bool Value::number(double& result) const {
  if (const int64_t* whole = integer()) {
    result = static_cast<double>(*whole);
  } else if (const bool* truth = truth_value()) {
    result = *truth ? 1 : 0;
  } else if (const double* real = std::get_if<double>(&kind)) {
    result = *real;
  } else {
    return false;
  }
  return true;
}

bool Value::truthy() const {
  if (undefined() || none()) return false;
  if (const std::string* own = text()) return !own->empty();
  if (const List* own = list()) return !own->empty();
  if (is_namespace()) return true;
  if (const Dict* own = dict()) return !own->empty();
  double value = 0;
  number(value);
  return value != 0;
}

const Value* find(const Dict& dict, const std::string& key) {
  for (const auto& [name, value] : dict) {
    if (name == key) return &value;
  }
  return nullptr;
}

bool equal(const Value& left, const Value& right) {
  double a = 0, b = 0;
  if (left.number(a) && right.number(b)) return a == b;
  if (left.undefined() || left.none()) {
    return left.undefined() ? right.undefined() : right.none();
  }
  if (left.text() && right.text()) return *left.text() == *right.text();
  if (const List* x = left.list(), *y = right.list(); x && y) {
    if (x->size() != y->size()) return false;
    for (size_t i = 0; i < x->size(); ++i) {
      if (!equal((*x)[i], (*y)[i])) return false;
    }
    return true;
  }
  if (left.is_namespace() || right.is_namespace()) return left.dict() == right.dict();
  const Dict *x = left.dict(), *y = right.dict();
  if (x == nullptr || y == nullptr || x->size() != y->size()) return false;
  for (const auto& [key, value] : *x) {
    const Value* other = find(*y, key);
    if (other == nullptr || !equal(value, *other)) return false;
  }
  return true;
}

const char* type_name(const Value& value) {
  static constexpr const char* kNames[] = {"undefined", "None", "bool", "int",      "float",
                                           "str",       "list", "dict", "namespace"};
  return kNames[value.kind.index()];
}

std::string to_text(const Value& value) {
  if (const std::string* text = value.text()) return *text;
  if (value.undefined()) return {};
  return to_repr(value);
}

std::string to_repr(const Value& value) {
  if (const std::string* text = value.text()) return quoted(*text);
  if (value.undefined()) return "Undefined";
  if (value.none()) return "None";
  if (const bool* truth = value.truth_value()) return *truth ? "True" : "False";
  if (const int64_t* whole = value.integer()) return std::to_string(*whole);
  if (const double* real = std::get_if<double>(&value.kind)) return real_text(*real);
  std::string result, between;
  if (const List* list = value.list()) {
    for (const Value& part : *list) {
      result += between + to_repr(part);
      between = ", ";
    }
    return "[" + result + "]";
  }
  for (const auto& [key, part] : *value.dict()) {
    result += between + quoted(key) + ": " + to_repr(part);
    between = ", ";
  }
  return "{" + result + "}";
}

std::string to_json(const Value& value, int64_t indent) { return json_of(value, indent, 0); }

}  // namespace longwave::text::jinja
