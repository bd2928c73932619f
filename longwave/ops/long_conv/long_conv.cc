// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/long_conv/long_conv.h"

#include <algorithm>
#include <string>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "long_conv";

/// The product is taken modulo x^size - i; see FftPlan.
constexpr double kRightAngle = 0.25;

int64_t plan_size(int64_t time) { return FftPlan::good_size(std::max<int64_t>(time, 1)); }

/// Which kernel serves which type on the CPU.
template <typename T>
struct Kernels;
template <>
struct Kernels<float> {
  static constexpr auto forward = long_conv_cpu;
  static constexpr auto backward = long_conv_grad_cpu;
  static constexpr bool needs_plan = true;
};
template <>
struct Kernels<double> {
  static constexpr auto forward = [](const LongConvArgs<double>& args, Workspace&) {
    long_conv_ref(args);
  };
  static constexpr auto backward = [](const LongConvGradArgs<double>& args, Workspace&) {
    long_conv_grad_ref(args);
  };
  static constexpr bool needs_plan = false;
};

/// What forward and backward have in common.
template <typename T, typename Args>
void check(const Args& args) {
  const int64_t channels = args.u.extent(2);
  require(args.K.extent(0) == channels, kWhere, "K must have one row a channel of u");
  require(args.K_ahead.absent() || args.K_ahead.extent(0) == channels, kWhere,
          "K_ahead must have one row a channel of u");
  require(args.d.absent() || args.d.extent(0) == channels, kWhere,
          "d must have one number a channel of u");
  const int64_t wanted = plan_size(args.u.extent(1));
  if (Kernels<T>::needs_plan && args.u.size() > 0 &&
      (args.plan == nullptr || args.plan->size() != wanted || args.plan->root() != kRightAngle)) {
    throw InvalidArgument({.where = kWhere,
                           .what = "the plan does not fit the sequence",
                           .got = args.plan == nullptr
                                      ? "no plan"
                                      : "a plan of size " + std::to_string(args.plan->size()),
                           .fix = "pass long_conv_plan(" + std::to_string(args.u.extent(1)) + ")"});
  }
}

template <typename T>
void forward(const LongConvArgs<T>& args, Workspace& workspace) {
  check<T>(args);
  require(args.y.extents() == args.u.extents(), kWhere, "y must have the shape of u");
  Kernels<T>::forward(args, workspace);
}

template <typename T>
void backward(const LongConvGradArgs<T>& args, Workspace& workspace) {
  check<T>(args);
  require(args.dy.extents() == args.u.extents(), kWhere, "dy must have the shape of u");
  require(args.du.extents() == args.u.extents(), kWhere, "du must have the shape of u");
  require(args.dK.extents() == args.K.extents(), kWhere, "dK must have the shape of K");
  require(args.dK_ahead.extents() == args.K_ahead.extents(), kWhere,
          "dK_ahead must have the shape of K_ahead");
  require(args.dd.extents() == args.d.extents(), kWhere, "dd must have the shape of d");
  Kernels<T>::backward(args, workspace);
}

}  // namespace

FftPlan long_conv_plan(int64_t time) { return FftPlan(plan_size(time), kRightAngle); }

size_t long_conv_worker_bytes(int64_t time) {
  // Spectra of the kernel, of u and of dy, and the gradient of the kernel's; a butterfly of three.
  constexpr int64_t kSpectra = 4, kButterfly = 3;
  return Workspace::bytes_for<float>((kSpectra * plan_size(time) + kButterfly) * 2 * kFftMaxLanes);
}

size_t long_conv_workspace_bytes(int64_t time) {
  return static_cast<size_t>(thread_count()) * long_conv_worker_bytes(time);
}

void long_conv(const LongConvArgs<float>& args, Workspace& workspace) { forward(args, workspace); }
void long_conv(const LongConvArgs<double>& args, Workspace& workspace) { forward(args, workspace); }
void long_conv_grad(const LongConvGradArgs<float>& args, Workspace& workspace) {
  backward(args, workspace);
}
void long_conv_grad(const LongConvGradArgs<double>& args, Workspace& workspace) {
  backward(args, workspace);
}

}  // namespace longwave::ops
