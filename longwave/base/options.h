// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "longwave/base/assert.h"

namespace longwave {

using Value = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>>;

/// "4", "0.001", "true", "s4d", "[4, 4]": as a recipe would spell it, and `parse` reads it back.
std::string to_string(const Value& value);

/// One declared setting: the single source of its type, default, range, help and documentation.
struct Option {
  std::string key;   ///< dotted, such as "train.lr"
  Value value;       ///< the default, whose alternative is the option's type
  std::string help;  ///< one line: meaning, unit, danger
  double least = -std::numeric_limits<double>::infinity();  ///< inclusive, for numbers
  double most = std::numeric_limits<double>::infinity();    ///< inclusive, for numbers
  std::vector<std::string> choices = {};                    ///< for text; empty means any
};

using Schema = std::vector<Option>;

/// The schema with "section." before each key.
Schema in_section(std::string_view section, Schema schema);

/// The known word nearest to `word` in edit distance, or "" if none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

/// Settings that obey a schema: every declared key has a value, no other key exists.
///
/// Errors     ConfigError with the place, the key, what was got and the nearest known key.
/// Threads    const use is safe from many threads.
class Options {
 public:
  Options() = default;
  explicit Options(Schema schema);

  /// Sets a value; `where` names its origin in messages ("recipe.toml:3", "--set").
  /// An integer is accepted where a real number is declared.
  void set(const std::string& key, Value value, std::string_view where);

  /// Sets a value from text, read as the declared type.
  void parse(const std::string& key, const std::string& text, std::string_view where);

  /// Applies "key=value".
  void assign(const std::string& assignment, std::string_view where);

  /// The value of a declared key. The type must be the declared one.
  template <typename T>
  const T& get(const std::string& key) const {
    const T* value = std::get_if<T>(&at(key));
    LONGWAVE_ASSERT(value != nullptr, "option asked for with another type");
    return *value;
  }
  bool flag(const std::string& key) const { return get<bool>(key); }
  int64_t integer(const std::string& key) const { return get<int64_t>(key); }
  double real(const std::string& key) const { return get<double>(key); }
  const std::string& text(const std::string& key) const { return get<std::string>(key); }

  bool has(const std::string& key) const { return values_.contains(key); }
  const Value& at(const std::string& key) const;

  /// The options under "section.", with the section taken off their keys.
  Options section(std::string_view section) const;

  /// In the order of declaration.
  const Schema& schema() const { return schema_; }

 private:
  const Option& declared(const std::string& key, std::string_view where) const;

  Schema schema_;
  std::map<std::string, Value> values_;
};

}  // namespace longwave
