// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <array>
#include <cstdint>

#include "longwave/base/error.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/ssd/ssd_size.h"

namespace longwave::ops {

/// The extents of a scan, on any device; checks what it and its gradient read.
template <typename Inputs>
SsdSize checked_ssd_size(const char* where, const Inputs& in) {
  const SsdSize size = ssd_size_of(in);
  if (size.groups == 0 ? size.heads != 0 : size.heads % size.groups != 0) {
    throw InvalidArgument(
        {.where = where,
         .what = fmt::format("heads ({}) must be a multiple of groups", size.heads),
         .got = fmt::format("groups = {}", size.groups),
         .fix = fmt::format("give B and C with 1 or {} groups", size.heads)});
  }
  const std::array<int64_t, 4> gains{size.batch, size.time, size.groups, size.state};
  require_shape(where, "dt", in.dt, {size.batch, size.time, size.heads});
  require_shape(where, "A", in.A, {size.heads});
  require_shape(where, "B", in.B, gains);
  require_shape(where, "C", in.C, gains);
  if (!in.D.absent()) {
    const int64_t skips = in.D.extent(1) == 1 ? 1 : size.head_dim;
    require_shape(where, "D", in.D, {size.heads, skips});
  }
  if (!in.dt_bias.absent()) require_shape(where, "dt_bias", in.dt_bias, {size.heads});
  if (!in.starts.absent()) require_shape(where, "starts", in.starts, {size.batch, size.time});
  if (!(in.limits.least <= in.limits.most) || in.limits.least < 0) {
    throw InvalidArgument({.where = where,
                           .what = "limits of dt must satisfy 0 <= least <= most",
                           .got = fmt::format("{} to {}", in.limits.least, in.limits.most),
                           .fix = "swap or widen them"});
  }
  return size;
}

inline std::array<int64_t, 4> ssd_state_shape(const SsdSize& size) {
  return {size.batch, size.heads, size.head_dim, size.state};
}

/// Checks the shapes of a scan's operands: what it reads, and the rest.
template <typename Inputs, typename Args>
SsdSize check_ssd(const char* where, const Inputs& in, const Args& args) {
  const SsdSize size = checked_ssd_size(where, in);
  require_shape(where, "h", args.h, ssd_state_shape(size));
  require_shape(where, "y", args.y, in.x.extents());
  return size;
}

/// A gradient is there exactly when its operand is, and has its shape.
template <typename Operand, typename Gradient>
void check_ssd_pair(const char* where, const char* name, const Operand& operand,
                    const Gradient& gradient) {
  if (operand.absent() != gradient.absent()) {
    throw InvalidArgument(
        {.where = where,
         .what = fmt::format("{0} and d{0} must be both given or both absent", name),
         .got = fmt::format("only {}{}", operand.absent() ? "d" : "", name),
         .fix = "leave out the gradient exactly when the scan had no such input"});
  }
  if (!operand.absent()) require_shape(where, name, gradient, operand.extents());
}

/// Checks the shapes of the operands of a scan's gradient likewise.
template <typename Inputs, typename Args>
SsdSize check_ssd_gradient(const char* where, const Inputs& in, const Args& args) {
  const SsdSize size = checked_ssd_size(where, in);
  const std::array<int64_t, 4> state = ssd_state_shape(size);
  if (!args.h0.absent()) require_shape(where, "h0", args.h0, state);
  if (!args.dh.absent()) require_shape(where, "dh", args.dh, state);
  require_shape(where, "dh0", args.dh0, state);
  require_shape(where, "dy", args.dy, in.x.extents());
  require_shape(where, "dx", args.dx, in.x.extents());
  require_shape(where, "ddt", args.ddt, in.dt.extents());
  require_shape(where, "dA", args.dA, in.A.extents());
  require_shape(where, "dB", args.dB, in.B.extents());
  require_shape(where, "dC", args.dC, in.C.extents());
  check_ssd_pair(where, "D", in.D, args.dD);
  check_ssd_pair(where, "dt_bias", in.dt_bias, args.ddt_bias);
  return size;
}

}  // namespace longwave::ops
