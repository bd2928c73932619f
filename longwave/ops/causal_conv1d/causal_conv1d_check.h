// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "longwave/base/error.h"
#include "longwave/ops/causal_conv1d/causal_conv1d.h"
#include "longwave/ops/require_shape.h"

namespace longwave::ops {

/// The extents of a convolution, on any device; checks what it and its gradient read.
template <typename Args>
CausalConv1dShape checked_conv_shape(const char* where, const Args& args) {
  const CausalConv1dShape shape{args.x.extent(0), args.x.extent(1), args.x.extent(2),
                                args.w.extent(1)};
  require(shape.width >= 1, where, "w must be (channels, width) with width at least 1");
  require_shape(where, "w", args.w, {shape.channels, shape.width});
  if (!args.b.absent()) require_shape(where, "b", args.b, {shape.channels});
  if (!args.history.absent()) {
    require_shape(where, "history", args.history, {shape.batch, shape.width - 1, shape.channels});
  }
  if (!args.starts.absent()) require_shape(where, "starts", args.starts, {shape.batch, shape.time});
  return shape;
}

/// Checks the shapes of a convolution's operands.
template <typename Args>
CausalConv1dShape check_conv(const char* where, const Args& args) {
  const CausalConv1dShape shape = checked_conv_shape(where, args);
  require_shape(where, "y", args.y, args.x.extents());
  if (!args.final_history.absent()) {
    require_shape(where, "final_history", args.final_history,
                  {shape.batch, shape.width - 1, shape.channels});
  }
  return shape;
}

/// The same of its gradient's.
template <typename Args>
CausalConv1dShape check_conv_gradient(const char* where, const Args& args) {
  const CausalConv1dShape shape = checked_conv_shape(where, args);
  const std::array<int64_t, 3> history{shape.batch, shape.width - 1, shape.channels};
  require_shape(where, "dy", args.dy, args.x.extents());
  require_shape(where, "dx", args.dx, args.x.extents());
  require_shape(where, "dw", args.dw, args.w.extents());
  if (!args.db.absent()) require_shape(where, "db", args.db, {shape.channels});
  if (!args.dfinal.absent()) require_shape(where, "dfinal", args.dfinal, history);
  if (!args.dhistory.absent()) require_shape(where, "dhistory", args.dhistory, history);
  return shape;
}

}  // namespace longwave::ops
