// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace longwave::text::jinja {

class Value;
using List = std::vector<Value>;
using Dict = std::vector<std::pair<std::string, Value>>;  ///< in the order of insertion

/// A variable that was never set; printed it is empty, looked into it is an error.
struct Undefined {
  std::string name;
};

/// Python's None.
struct None {};

/// What a template computes with: Python's values as far as chat templates need them. Lists and
/// dictionaries are immutable and shared; a namespace alone changes.
class Value {
 public:
  using Kind =
      std::variant<Undefined, None, bool, int64_t, double, std::string, std::shared_ptr<const List>,
                   std::shared_ptr<const Dict>, std::shared_ptr<Dict>>;

  Value() : kind(None{}) {}
  Value(Undefined value) : kind(std::move(value)) {}
  Value(bool value) : kind(value) {}
  Value(int64_t value) : kind(value) {}
  Value(double value) : kind(value) {}
  Value(std::string value) : kind(std::move(value)) {}
  Value(const char* value) : kind(std::string(value)) {}
  Value(List value) : kind(std::make_shared<const List>(std::move(value))) {}
  Value(Dict value) : kind(std::make_shared<const Dict>(std::move(value))) {}

  /// A namespace, whose entries can be set.
  static Value make_namespace(Dict entries);

  bool undefined() const { return std::holds_alternative<Undefined>(kind); }
  bool none() const { return std::holds_alternative<None>(kind); }
  bool is_namespace() const { return std::holds_alternative<std::shared_ptr<Dict>>(kind); }
  const std::string* text() const { return std::get_if<std::string>(&kind); }
  const int64_t* integer() const { return std::get_if<int64_t>(&kind); }
  const bool* truth_value() const { return std::get_if<bool>(&kind); }
  /// Entries of a list; null if it is none.
  const List* list() const;
  /// Entries of a dictionary or a namespace; null if it is none.
  const Dict* dict() const;
  /// The number of an integer, a truth value or a real number.
  bool number(double& result) const;

  /// As Python's bool().
  bool truthy() const;

  Kind kind;
};

/// The entry of a dictionary; null if there is none.
const Value* find(const Dict& dict, const std::string& key);

/// As Python's ==.
bool equal(const Value& left, const Value& right);

/// Python's name of the type, for messages.
const char* type_name(const Value& value);

/// As Python's str() and repr().
std::string to_text(const Value& value);
std::string to_repr(const Value& value);

/// As Python's json.dumps(value, ensure_ascii=False, indent=indent); a negative indent is one line.
std::string to_json(const Value& value, int64_t indent = -1);

}  // namespace longwave::text::jinja
