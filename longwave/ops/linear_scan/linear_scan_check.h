// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <array>
#include <cstdint>

#include "longwave/base/error.h"
#include "longwave/base/joined.h"
#include "longwave/ops/require_shape.h"

namespace longwave::ops {

/// Throws InvalidArgument unless a factor has the extents of the states, or 1 in batch and time.
template <typename T>
void check_linear_factor(const char* where, const View<const T, 3>& a,
                         const std::array<int64_t, 3>& states) {
  bool fits = a.extent(2) == states[2];
  for (int i = 0; i < 2; ++i) fits = fits && (a.extent(i) == 1 || a.extent(i) == states[i]);
  if (fits) return;
  throw InvalidArgument(
      {.where = where,
       .what = "a has a shape that does not fit",
       .got = fmt::format("({})", joined(a.extents(), ", ")),
       .fix = fmt::format("give it as ({} or 1, {} or 1, {})", states[0], states[1], states[2])});
}

/// Checks the shapes of a scan's operands, on any device.
template <typename Args>
void check_linear_scan(const char* where, const Args& args) {
  const std::array<int64_t, 2> state{args.b.extent(0), args.b.extent(2)};
  check_linear_factor(where, args.a, args.b.extents());
  require_shape(where, "h", args.h, args.b.extents());
  require_shape(where, "final", args.final, state);
  if (!args.h0.absent()) require_shape(where, "h0", args.h0, state);
}

/// The same of its gradient's.
template <typename Args>
void check_linear_scan_gradient(const char* where, const Args& args) {
  const std::array<int64_t, 2> state{args.h.extent(0), args.h.extent(2)};
  check_linear_factor(where, args.a, args.h.extents());
  require_shape(where, "dh", args.dh, args.h.extents());
  require_shape(where, "db", args.db, args.h.extents());
  require_shape(where, "dh0", args.dh0, state);
  if (!args.h0.absent()) require_shape(where, "h0", args.h0, state);
  if (!args.dfinal.absent()) require_shape(where, "dfinal", args.dfinal, state);
  if (!args.da.absent()) require_shape(where, "da", args.da, args.a.extents());
}

}  // namespace longwave::ops
