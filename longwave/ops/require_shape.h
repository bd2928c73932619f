// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "longwave/base/error.h"

namespace longwave::ops {

/// Throws InvalidArgument, with both shapes, unless the operand has the extents that others ask
/// for.
template <typename ViewT>
void require_shape(const char* where, const char* operand, const ViewT& view,
                   const typename ViewT::Extents& wanted) {
  if (view.extents() == wanted) return;
  throw InvalidArgument(
      {.where = where,
       .what = fmt::format("{} has another shape than the other operands ask for", operand),
       .got = fmt::format("({})", fmt::join(view.extents(), ", ")),
       .fix = fmt::format("give {} as ({})", operand, fmt::join(wanted, ", "))});
}

}  // namespace longwave::ops
