// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/options.h"

namespace longwave::theory {

/// One row of the table that gives the values of an enumeration the names that recipes use.
template <typename Enum>
struct EnumName {
  Enum value;
  std::string_view name;
};

/// The names in the order of the table, for the choices of an Option.
template <typename Enum>
std::vector<std::string> names_of(std::span<const EnumName<Enum>> table) {
  std::vector<std::string> names;
  for (const auto& row : table) names.emplace_back(row.name);
  return names;
}

/// The name of a value.
template <typename Enum>
std::string_view name_of(std::span<const EnumName<Enum>> table, Enum value) {
  for (const auto& row : table) {
    if (row.value == value) return row.name;
  }
  return "";
}

/// The value of a name.
///
/// Errors     InvalidArgument with the nearest known name.
template <typename Enum>
Enum value_of(std::span<const EnumName<Enum>> table, std::string_view name, const char* what) {
  for (const auto& row : table) {
    if (row.name == name) return row.value;
  }
  const std::vector<std::string> known = names_of(table);
  std::string all;
  for (const std::string& one : known) all += (all.empty() ? "" : ", ") + one;
  const std::string near = nearest(name, known);
  throw InvalidArgument(
      {what, "unknown name", "\"" + std::string(name) + "\"",
       (near.empty() ? "" : "did you mean \"" + near + "\"? ") + "known: " + all});
}

}  // namespace longwave::theory
