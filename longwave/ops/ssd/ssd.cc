// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd.h"

#include <fmt/core.h>

#include "longwave/base/error.h"
#include "longwave/ops/ssd/ssd_check.h"
#include "longwave/ops/ssd/ssd_cpu.h"
#include "longwave/ops/ssd/ssd_ref.h"

namespace longwave::ops {
namespace {

template <typename T>
void check_step(const SsdArgs<T>& args) {
  check_ssd("ssd_step", args, args);
  if (args.x.extent(1) == 1) return;
  throw InvalidArgument({.where = "ssd_step",
                         .what = "x must hold exactly one step",
                         .got = fmt::format("time = {}", args.x.extent(1)),
                         .fix = "use ssd for another number of steps"});
}

}  // namespace

size_t ssd_workspace_bytes(const SsdSize& size) { return ssd_forward_cpu_bytes(size); }

size_t ssd_backward_workspace_bytes(const SsdSize& size) { return ssd_backward_cpu_bytes(size); }

void ssd(const SsdArgs<float>& args, Workspace& workspace) {
  check_ssd("ssd", args, args);
  if (args.x.extent(1) == 1) {
    ssd_step_cpu(args);
  } else {
    ssd_forward_cpu(args, workspace);
  }
}

void ssd(const SsdArgs<double>& args, Workspace&) {
  check_ssd("ssd", args, args);
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
  check_ssd_gradient("ssd_backward", args, args);
  ssd_backward_cpu(args, workspace);
}

void ssd_backward(const SsdGradArgs<double>& args, Workspace&) {
  check_ssd_gradient("ssd_backward", args, args);
  ssd_backward_ref(args);
}

}  // namespace longwave::ops
