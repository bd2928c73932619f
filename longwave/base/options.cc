// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "longwave/base/error.h"

namespace longwave {
namespace {

constexpr std::array<std::string_view, 5> kTypeNames = {"true or false", "an integer", "a number",
                                                        "text", "a list of integers"};

std::string_view type_name(const Value& value) { return kTypeNames[value.index()]; }

std::string real_text(double value) {
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  std::string text(buffer.data(), end);
  const bool looks_integral = text.find_first_of(".en") == std::string::npos;
  return looks_integral ? text + ".0" : text;
}

template <typename T>
bool read_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool read_list(std::string_view text, std::vector<int64_t>& list) {
  text = trimmed(text);
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  list.clear();
  while (!trimmed(text).empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    int64_t item = 0;
    if (!read_number(trimmed(text.substr(0, comma)), item)) return false;
    list.push_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

/// Reads `text` as the alternative that `like` holds; false if it is no such thing.
bool read_like(const Value& like, std::string_view text, Value& value) {
  if (std::holds_alternative<bool>(like)) {
    value = text == "true";
    return text == "true" || text == "false";
  }
  if (std::holds_alternative<int64_t>(like)) {
    return read_number(text, value.emplace<int64_t>());
  }
  if (std::holds_alternative<double>(like)) {
    return read_number(text, value.emplace<double>());
  }
  if (std::holds_alternative<std::vector<int64_t>>(like)) {
    return read_list(text, value.emplace<std::vector<int64_t>>());
  }
  value = std::string(text);
  return true;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

[[noreturn]] void reject(std::string_view where, const std::string& key, std::string what,
                         std::string got, std::string fix) {
  throw ConfigError({.where = std::string(where),
                     .what = key + ": " + std::move(what),
                     .got = std::move(got),
                     .fix = std::move(fix)});
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// What a number of the option may be, in words.
std::string range_of(const Option& option, const Value& value) {
  const auto limit = [&](double number) {
    const bool whole = std::holds_alternative<int64_t>(value) && std::abs(number) < 0x1p53;
    return whole ? std::to_string(static_cast<int64_t>(number)) : real_text(number);
  };
  if (std::isinf(option.most)) return "must be at least " + limit(option.least);
  if (std::isinf(option.least)) return "must be at most " + limit(option.most);
  return "must lie in [" + limit(option.least) + ", " + limit(option.most) + "]";
}

void check_allowed(const Option& option, const Value& value, std::string_view where) {
  const auto* integer = std::get_if<int64_t>(&value);
  const auto* real = std::get_if<double>(&value);
  if (integer != nullptr || real != nullptr) {
    const double number = integer != nullptr ? static_cast<double>(*integer) : *real;
    if (std::isnan(number)) reject(where, option.key, "must be a number", to_string(value), {});
    if (!(number >= option.least && number <= option.most)) {
      reject(where, option.key, range_of(option, value), to_string(value), {});
    }
  }
  const auto* text = std::get_if<std::string>(&value);
  if (text != nullptr && !option.choices.empty() && !std::ranges::count(option.choices, *text)) {
    const std::string near = nearest(*text, option.choices);
    reject(where, option.key, "must be one of " + joined(option.choices), "\"" + *text + "\"",
           near.empty() ? std::string() : "did you mean \"" + near + "\"?");
  }
}

}  // namespace

std::string to_string(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  if (const auto* real = std::get_if<double>(&value)) return real_text(*real);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  std::string text = "[";
  for (int64_t item : std::get<std::vector<int64_t>>(value)) {
    text += (text.size() > 1 ? ", " : "") + std::to_string(item);
  }
  return text + "]";
}

Schema in_section(std::string_view section, Schema schema) {
  for (Option& option : schema) option.key = std::string(section) + "." + option.key;
  return schema;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

Options::Options(Schema schema) : schema_(std::move(schema)) {
  for (const Option& option : schema_) {
    const bool is_new = values_.emplace(option.key, option.value).second;
    LONGWAVE_ASSERT(is_new, "option declared twice");
    static_cast<void>(is_new);
  }
}

const Option& Options::declared(const std::string& key, std::string_view where) const {
  const auto found = std::ranges::find(schema_, key, &Option::key);
  if (found != schema_.end()) return *found;
  std::vector<std::string> known;
  for (const Option& option : schema_) known.push_back(option.key);
  const std::string near = nearest(key, known);
  reject(where, key, "no such option", {},
         near.empty() ? "remove it, or see the list of options in the documentation"
                      : "did you mean " + near + "?");
}

void Options::set(const std::string& key, Value value, std::string_view where) {
  const Option& option = declared(key, where);
  if (const auto* integer = std::get_if<int64_t>(&value);
      integer != nullptr && std::holds_alternative<double>(option.value)) {
    value = static_cast<double>(*integer);
  }
  if (value.index() != option.value.index()) {
    reject(where, key, "must be " + std::string(type_name(option.value)),
           std::string(type_name(value)) + " (" + to_string(value) + ")", {});
  }
  check_allowed(option, value, where);
  values_[key] = std::move(value);
}

void Options::parse(const std::string& key, const std::string& text, std::string_view where) {
  const Option& option = declared(key, where);
  Value value;
  if (!read_like(option.value, text, value)) {
    reject(where, key, "must be " + std::string(type_name(option.value)), "\"" + text + "\"", {});
  }
  set(key, std::move(value), where);
}

void Options::assign(const std::string& assignment, std::string_view where) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw ConfigError({.where = std::string(where),
                       .what = "an override must read key=value",
                       .got = "\"" + assignment + "\"",
                       .fix = "write for example train.lr=0.003"});
  }
  parse(assignment.substr(0, equals), assignment.substr(equals + 1), where);
}

const Value& Options::at(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) declared(key, "options");
  return found->second;
}

Options Options::section(std::string_view section) const {
  const std::string prefix = std::string(section) + ".";
  Options result;
  for (const Option& option : schema_) {
    if (!option.key.starts_with(prefix)) continue;
    Option inner = option;
    inner.key = option.key.substr(prefix.size());
    result.values_.emplace(inner.key, values_.at(option.key));
    result.schema_.push_back(std::move(inner));
  }
  return result;
}

}  // namespace longwave
