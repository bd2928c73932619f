// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_scan.h"

#include <fmt/core.h>

#include "longwave/base/error.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/selective_scan/selective_scan_cpu.h"
#include "longwave/ops/selective_scan/selective_scan_ref.h"

namespace longwave::ops {
namespace {

template <typename T>
void check_inputs(const char* where, const SelectiveScanInputs<T>& in) {
  const int64_t batch = in.u.extent(0), time = in.u.extent(1), channels = in.u.extent(2);
  const int64_t groups = in.B.extent(2), state = in.A.extent(1);
  require_shape(where, "dt", in.dt, in.u.extents());
  require_shape(where, "A", in.A, {channels, state});
  require_shape(where, "B", in.B, {batch, time, groups, state});
  require_shape(where, "C", in.C, {batch, time, groups, state});
  if (!in.D.absent()) require_shape(where, "D", in.D, {channels});
  if (!in.dt_bias.absent()) require_shape(where, "dt_bias", in.dt_bias, {channels});
  if (!in.z.absent()) require_shape(where, "z", in.z, in.u.extents());
  if (!in.starts.absent()) require_shape(where, "starts", in.starts, {batch, time});
  if (groups >= 1 && channels % groups == 0) return;
  throw InvalidArgument(
      {.where = where,
       .what = fmt::format("channels ({}) must be a multiple of groups ({})", channels, groups),
       .got = {},
       .fix = "give B and C a third extent that divides the channels"});
}

template <typename T>
void check(const char* where, const SelectiveScanArgs<T>& args) {
  check_inputs(where, args.in);
  const int64_t batch = args.in.u.extent(0), time = args.in.u.extent(1);
  const int64_t channels = args.in.u.extent(2), state = args.in.A.extent(1);
  require_shape(where, "h", args.h, {batch, channels, state});
  require_shape(where, "y", args.y, args.in.u.extents());
  if (args.states.absent()) return;
  require_shape(where, "states", args.states,
                {batch, selective_scan_chunks(time, state), state, channels});
}

// A gradient is there exactly when its operand is, and has its shape.
template <typename In, typename Out>
void check_optional(const char* where, const char* name, const In& operand, const Out& gradient) {
  if (operand.absent() != gradient.absent()) {
    throw InvalidArgument(
        {.where = where,
         .what = fmt::format("{} and its operand must be both given or both absent", name),
         .got = operand.absent() ? "only the gradient" : "only the operand",
         .fix = fmt::format("leave out {} exactly when the scan had no such operand", name)});
  }
  if (!operand.absent()) require_shape(where, name, gradient, operand.extents());
}

template <typename T>
void check(const SelectiveScanGradArgs<T>& args) {
  const char* where = "selective_scan_backward";
  const SelectiveScanInputs<T>& in = args.in;
  check_inputs(where, in);
  const int64_t batch = in.u.extent(0), channels = in.u.extent(2), state = in.A.extent(1);
  require_shape(where, "states", args.states,
                {batch, selective_scan_chunks(in.u.extent(1), state), state, channels});
  require_shape(where, "dy", args.dy, in.u.extents());
  if (!args.dh.absent()) require_shape(where, "dh", args.dh, {batch, channels, state});
  require_shape(where, "du", args.du, in.u.extents());
  require_shape(where, "ddt", args.ddt, in.u.extents());
  require_shape(where, "dA", args.dA, in.A.extents());
  require_shape(where, "dB", args.dB, in.B.extents());
  require_shape(where, "dC", args.dC, in.C.extents());
  require_shape(where, "dh0", args.dh0, {batch, channels, state});
  check_optional(where, "dD", in.D, args.dD);
  check_optional(where, "ddt_bias", in.dt_bias, args.ddt_bias);
  check_optional(where, "dz", in.z, args.dz);
}

template <typename T>
void check_step(const SelectiveScanArgs<T>& args) {
  check("selective_scan_step", args);
  if (args.in.u.extent(1) == 1) return;
  throw InvalidArgument({.where = "selective_scan_step",
                         .what = "u must hold exactly one step",
                         .got = fmt::format("time = {}", args.in.u.extent(1)),
                         .fix = "use selective_scan for another number of steps"});
}

}  // namespace

int64_t selective_scan_chunk(int64_t state) { return state <= 16 ? 32 : 64; }

int64_t selective_scan_chunks(int64_t time, int64_t state) {
  const int64_t chunk = selective_scan_chunk(state);
  return (time + chunk - 1) / chunk;
}

size_t selective_scan_workspace_bytes(const SelectiveScanSize& size) {
  return selective_scan_cpu_bytes(size);
}

size_t selective_scan_backward_workspace_bytes(const SelectiveScanSize& size) {
  return selective_scan_backward_cpu_bytes(size);
}

void selective_scan(const SelectiveScanArgs<float>& args, Workspace& workspace) {
  check("selective_scan", args);
  selective_scan_cpu(args, workspace);
}

void selective_scan(const SelectiveScanArgs<double>& args, Workspace&) {
  check("selective_scan", args);
  selective_scan_ref(args);
}

void selective_scan_step(const SelectiveScanArgs<float>& args) {
  check_step(args);
  selective_scan_step_cpu(args);
}

void selective_scan_step(const SelectiveScanArgs<double>& args) {
  check_step(args);
  selective_scan_ref(args);
}

void selective_scan_backward(const SelectiveScanGradArgs<float>& args, Workspace& workspace) {
  check(args);
  selective_scan_backward_cpu(args, workspace);
}

void selective_scan_backward(const SelectiveScanGradArgs<double>& args, Workspace&) {
  check(args);
  selective_scan_backward_ref(args);
}

}  // namespace longwave::ops
