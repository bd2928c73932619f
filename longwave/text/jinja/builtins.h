// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "longwave/text/jinja/value.h"

namespace longwave::text::jinja {

/// What a template may use up, and where it stands, for messages.
struct Budget {
  std::string where;
  int64_t line = 1;
  int64_t steps = 2'000'000;          ///< expressions and statements evaluated
  int64_t bytes = int64_t{64} << 20;  ///< of all texts and lists made

  /// DataError at "where:line".
  [[noreturn]] void fail(const std::string& what, const std::string& got = {}) const;
  [[noreturn]] void unsupported(const std::string& what) const;
  void step();
  /// Takes `count` bytes off the budget; DataError if it does not hold them.
  void spend(size_t count);
  Value text(std::string value);
  Value list(List value);
};

struct Arguments {
  List values;
  Dict named;

  /// The argument at a place or of a name; null if it is not given.
  const Value* at(size_t place, const char* name) const;

  /// The same as a text, empty if it is not given or none; as a whole number, `otherwise` then.
  /// Fails on other values.
  std::string text(Budget& budget, size_t place, const char* name) const;
  int64_t whole(Budget& budget, size_t place, const char* name, int64_t otherwise) const;
};

/// value | name(arguments)
Value apply_filter(Budget& budget, const std::string& name, const Value& value,
                   const Arguments& arguments);

/// value is name(arguments)
bool passes_test(Budget& budget, const std::string& name, const Value& value,
                 const Arguments& arguments);

/// value.name(arguments), for texts and dictionaries.
Value call_method(Budget& budget, const std::string& name, const Value& value,
                  const Arguments& arguments);

/// name(arguments): range, namespace, dict, raise_exception, strftime_now.
Value call_function(Budget& budget, const std::string& name, const Arguments& arguments);

/// What a loop over the value goes through.
List items_of(Budget& budget, const Value& value);

/// The entry of an object or a list; undefined if there is none. Fails on an undefined object.
Value entry_of(Budget& budget, const Value& object, const Value& key);

/// object[begin:end:step], where parts may be none.
Value slice_of(Budget& budget, const Value& object, const Value& begin, const Value& end,
               const Value& step);

/// left name right, for all operators but "and" and "or".
Value operate(Budget& budget, const std::string& name, const Value& left, const Value& right);

}  // namespace longwave::text::jinja
