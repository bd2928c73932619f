// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <cstdint>

#include "longwave/base/error.h"
#include "longwave/ops/require_shape.h"

namespace longwave::ops {

inline void check_norm_groups(const char* where, int64_t channels, int64_t groups) {
  if (groups >= 1 && channels % groups == 0) return;
  throw InvalidArgument({.where = where,
                         .what = "channels must be a multiple of groups",
                         .got = fmt::format("{} channels in {} groups", channels, groups),
                         .fix = "choose groups that divide the channels"});
}

/// Checks the shapes of a gated norm's operands, on any device.
template <typename Args>
void check_gated_norm(const char* where, const Args& args) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  check_norm_groups(where, channels, args.groups);
  require_shape(where, "w", args.w, {channels});
  require_shape(where, "y", args.y, args.x.extents());
  if (!args.z.absent()) require_shape(where, "z", args.z, args.x.extents());
  if (!args.inverse.absent()) require_shape(where, "inverse", args.inverse, {rows, args.groups});
}

/// The same of its gradient's.
template <typename Args>
void check_gated_norm_gradient(const char* where, const Args& args) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  check_norm_groups(where, channels, args.inverse.extent(1));
  require_shape(where, "inverse", args.inverse, {rows, args.inverse.extent(1)});
  require_shape(where, "w", args.w, {channels});
  require_shape(where, "dw", args.dw, {channels});
  require_shape(where, "dy", args.dy, args.x.extents());
  require_shape(where, "dx", args.dx, args.x.extents());
  if (!args.z.absent()) require_shape(where, "z", args.z, args.x.extents());
  if (!args.dz.absent()) require_shape(where, "dz", args.dz, args.z.extents());
}

}  // namespace longwave::ops
