// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd.h"

#include <fmt/core.h>

#include "longwave/base/error.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/ssd/ssd_cpu.h"
#include "longwave/ops/ssd/ssd_ref.h"

namespace longwave::ops {
namespace {

// What forward and backward pass share.
template <typename T, typename Args>
SsdSize check_inputs(const char* where, const Args& args) {
  const SsdSize size = ssd_size_of(args);
  if (size.groups == 0 ? size.heads != 0 : size.heads % size.groups != 0) {
    throw InvalidArgument(
        {.where = where,
         .what = fmt::format("heads ({}) must be a multiple of groups", size.heads),
         .got = fmt::format("groups = {}", size.groups),
         .fix = fmt::format("give B and C with 1 or {} groups", size.heads)});
  }
  const std::array<int64_t, 4> gains{size.batch, size.time, size.groups, size.state};
  require_shape(where, "dt", args.dt, {size.batch, size.time, size.heads});
  require_shape(where, "A", args.A, {size.heads});
  require_shape(where, "B", args.B, gains);
  require_shape(where, "C", args.C, gains);
  if (!args.D.absent()) {
    const int64_t skips = args.D.extent(1) == 1 ? 1 : size.head_dim;
    require_shape(where, "D", args.D, {size.heads, skips});
  }
  if (!args.dt_bias.absent()) require_shape(where, "dt_bias", args.dt_bias, {size.heads});
  if (!args.starts.absent()) require_shape(where, "starts", args.starts, {size.batch, size.time});
  if (!(args.limits.least <= args.limits.most) || args.limits.least < 0) {
    throw InvalidArgument({.where = where,
                           .what = "limits of dt must satisfy 0 <= least <= most",
                           .got = fmt::format("{} to {}", args.limits.least, args.limits.most),
                           .fix = "swap or widen them"});
  }
  return size;
}

std::array<int64_t, 4> state_shape(const SsdSize& size) {
  return {size.batch, size.heads, size.head_dim, size.state};
}

template <typename T>
void check(const char* where, const SsdArgs<T>& args) {
  const SsdSize size = check_inputs<T>(where, args);
  require_shape(where, "h", args.h, state_shape(size));
  require_shape(where, "y", args.y, args.x.extents());
}

template <typename T>
void check_step(const SsdArgs<T>& args) {
  check("ssd_step", args);
  if (args.x.extent(1) == 1) return;
  throw InvalidArgument({.where = "ssd_step",
                         .what = "x must hold exactly one step",
                         .got = fmt::format("time = {}", args.x.extent(1)),
                         .fix = "use ssd for another number of steps"});
}

template <typename Input, typename Gradient>
void check_pair(const char* name, const Input& input, const Gradient& gradient) {
  if (input.absent() != gradient.absent()) {
    throw InvalidArgument(
        {.where = "ssd_backward",
         .what = fmt::format("{0} and d{0} must be both given or both absent", name),
         .got = fmt::format("only {}{}", input.absent() ? "d" : "", name),
         .fix = "leave out the gradient exactly when the scan had no such input"});
  }
  if (!input.absent()) require_shape("ssd_backward", name, gradient, input.extents());
}

template <typename T>
void check(const SsdGradArgs<T>& args) {
  const char* where = "ssd_backward";
  const std::array<int64_t, 4> state = state_shape(check_inputs<T>(where, args));
  if (!args.h0.absent()) require_shape(where, "h0", args.h0, state);
  if (!args.dh.absent()) require_shape(where, "dh", args.dh, state);
  require_shape(where, "dh0", args.dh0, state);
  require_shape(where, "dy", args.dy, args.x.extents());
  require_shape(where, "dx", args.dx, args.x.extents());
  require_shape(where, "ddt", args.ddt, args.dt.extents());
  require_shape(where, "dA", args.dA, args.A.extents());
  require_shape(where, "dB", args.dB, args.B.extents());
  require_shape(where, "dC", args.dC, args.C.extents());
  check_pair("D", args.D, args.dD);
  check_pair("dt_bias", args.dt_bias, args.ddt_bias);
}

}  // namespace

size_t ssd_workspace_bytes(const SsdSize& size) { return ssd_forward_cpu_bytes(size); }

size_t ssd_backward_workspace_bytes(const SsdSize& size) { return ssd_backward_cpu_bytes(size); }

void ssd(const SsdArgs<float>& args, Workspace& workspace) {
  check("ssd", args);
  if (args.x.extent(1) == 1) {
    ssd_step_cpu(args);
  } else {
    ssd_forward_cpu(args, workspace);
  }
}

void ssd(const SsdArgs<double>& args, Workspace&) {
  check("ssd", args);
  ssd_ref(args);
}

void ssd_step(const SsdArgs<float>& args) {
  check_step(args);
  ssd_step_cpu(args);
}

void ssd_step(const SsdArgs<double>& args) {
  check_step(args);
  ssd_ref(args);
}

void ssd_backward(const SsdGradArgs<float>& args, Workspace& workspace) {
  check(args);
  ssd_backward_cpu(args, workspace);
}

void ssd_backward(const SsdGradArgs<double>& args, Workspace&) {
  check(args);
  ssd_backward_ref(args);
}

}  // namespace longwave::ops
