// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/require_shape.h"

namespace longwave::ops {

/// Checks the shapes of a row norm's operands, on any device.
template <typename Args>
void check_row_norm(const char* where, const Args& args) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  require_shape(where, "w", args.w, {channels});
  if (!args.b.absent()) require_shape(where, "b", args.b, {channels});
  require_shape(where, "y", args.y, args.x.extents());
  if (!args.moments.absent()) require_shape(where, "moments", args.moments, {rows, 2});
}

/// The same of its gradient's.
template <typename Args>
void check_row_norm_gradient(const char* where, const Args& args) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  require_shape(where, "w", args.w, {channels});
  require_shape(where, "moments", args.moments, {rows, 2});
  require_shape(where, "dy", args.dy, args.x.extents());
  require_shape(where, "dx", args.dx, args.x.extents());
  require_shape(where, "dw", args.dw, {channels});
  if (!args.db.absent()) require_shape(where, "db", args.db, {channels});
}

}  // namespace longwave::ops
