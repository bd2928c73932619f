// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <string>

#include "longwave/base/parameter.h"

namespace longwave::testing {

/// "" if all tensors have the same bits, else the first that has not.
inline std::string first_difference(const Weights& a, const Weights& b) {
  if (a.all().size() != b.all().size()) return "another number of tensors";
  for (const auto& [name, tensor] : a.all()) {
    if (!b.has(name) || b.all().at(name).shape() != tensor.shape()) return name;
    if (std::memcmp(b.all().at(name).raw(), tensor.raw(), tensor.bytes()) != 0) return name;
  }
  return {};
}

}  // namespace longwave::testing
