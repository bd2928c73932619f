// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_scan.h"

#include <fmt/core.h>

#include "longwave/base/error.h"
#include "longwave/ops/lti_scan/lti_scan_cpu.h"
#include "longwave/ops/lti_scan/lti_scan_ref.h"
#include "longwave/ops/require_shape.h"

namespace longwave::ops {
namespace {

// Steps up to which packing operands for the tiles costs more than it saves. How many sequences
// there are does not matter: a step alone has the bits of the step in a batch.
constexpr int64_t kStepwise = 4;

template <typename T>
void check(const char* where, const LtiScanArgs<T>& args) {
  const int64_t batch = args.u.extent(0), time = args.u.extent(1), channels = args.u.extent(2);
  const int64_t modes = args.a.extent(1);
  require_shape(where, "a", args.a, {channels, modes});
  require_shape(where, "c", args.c, {channels, modes});
  if (!args.d.absent()) require_shape(where, "d", args.d, {channels});
  require_shape(where, "h", args.h, {batch, channels, modes});
  require_shape(where, "y", args.y, {batch, time, channels});
}

template <typename T>
void check(const LtiScanGradArgs<T>& args) {
  const char* where = "lti_scan_backward";
  const int64_t batch = args.u.extent(0), time = args.u.extent(1), channels = args.u.extent(2);
  const int64_t modes = args.a.extent(1);
  const std::array<int64_t, 3> signal{batch, time, channels}, state{batch, channels, modes};
  const std::array<int64_t, 2> factor{channels, modes};
  require_shape(where, "a", args.a, factor);
  require_shape(where, "c", args.c, factor);
  require_shape(where, "da", args.da, factor);
  require_shape(where, "dc", args.dc, factor);
  require_shape(where, "h0", args.h0, state);
  require_shape(where, "dh0", args.dh0, state);
  if (!args.dh.absent()) {
    require_shape(where, "dh", args.dh, state);
  }
  require_shape(where, "dy", args.dy, signal);
  require_shape(where, "du", args.du, signal);
  if (args.d.absent() != args.dd.absent()) {
    throw InvalidArgument({.where = where,
                           .what = "d and dd must be both given or both absent",
                           .got = args.d.absent() ? "only dd" : "only d",
                           .fix = "leave out dd exactly when the scan had no skip"});
  }
  if (!args.d.absent()) {
    require_shape(where, "d", args.d, {channels});
    require_shape(where, "dd", args.dd, {channels});
  }
}

template <typename T>
void check_step(const LtiScanArgs<T>& args) {
  check("lti_scan_step", args);
  if (args.u.extent(1) == 1) return;
  throw InvalidArgument({.where = "lti_scan_step",
                         .what = "u must hold exactly one step",
                         .got = fmt::format("time = {}", args.u.extent(1)),
                         .fix = "use lti_scan for another number of steps"});
}

}  // namespace

size_t lti_scan_workspace_bytes(int64_t batch, int64_t channels, int64_t modes) {
  return lti_scan_cpu_bytes(batch, channels, modes);
}

size_t lti_scan_backward_workspace_bytes(int64_t batch, int64_t channels, int64_t modes) {
  return lti_scan_backward_cpu_bytes(batch, channels, modes);
}

void lti_scan(const LtiScanArgs<float>& args, Workspace& workspace) {
  check("lti_scan", args);
  const int64_t time = args.u.extent(1);
  if (time > kStepwise) {
    lti_scan_cpu(args, workspace);
    return;
  }
  for (int64_t t = 0; t < time; ++t) lti_step_cpu(args, t);
}

void lti_scan(const LtiScanArgs<double>& args, Workspace&) {
  check("lti_scan", args);
  lti_scan_ref(args);
}

void lti_scan_step(const LtiScanArgs<float>& args) {
  check_step(args);
  lti_step_cpu(args, 0);
}

void lti_scan_step(const LtiScanArgs<double>& args) {
  check_step(args);
  lti_scan_ref(args);
}

void lti_scan_backward(const LtiScanGradArgs<float>& args, Workspace& workspace) {
  check(args);
  lti_scan_backward_cpu(args, workspace);
}

void lti_scan_backward(const LtiScanGradArgs<double>& args, Workspace&) {
  check(args);
  lti_scan_backward_ref(args);
}

}  // namespace longwave::ops
