// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/require_shape.h"

#include <fmt/core.h>

#include "longwave/base/error.h"
#include "longwave/base/joined.h"

namespace longwave::ops {

void refuse_shape(const char* where, const char* operand, std::span<const int64_t> got,
                  std::span<const int64_t> wanted) {
  throw InvalidArgument(
      {.where = where,
       .what = fmt::format("{} has another shape than the other operands ask for", operand),
       .got = fmt::format("({})", joined(got, ", ")),
       .fix = fmt::format("give {} as ({})", operand, joined(wanted, ", "))});
}

}  // namespace longwave::ops
