// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/dplr_kernel/dplr_kernel.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/dplr_kernel/dplr_cauchy.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "dplr_kernel";

/// Which kernel serves which type on the CPU.
template <typename T>
struct Kernels;
template <>
struct Kernels<float> {
  static constexpr auto forward = dplr_kernel_cpu;
  static constexpr auto backward = dplr_kernel_grad_cpu;
  static constexpr bool needs_plan = true;
};
template <>
struct Kernels<double> {
  static constexpr auto forward = [](const DplrKernelArgs<double>& args, Workspace&) {
    dplr_kernel_ref(args);
  };
  static constexpr auto backward = [](const DplrKernelGradArgs<double>& args, Workspace&) {
    dplr_kernel_grad_ref(args);
  };
  static constexpr bool needs_plan = false;
};

/// What forward and backward have in common.
template <typename T, typename Args>
void check(const Args& args, int64_t channels, int64_t length) {
  require(args.Lambda.extent(0) == channels, kWhere, "Lambda must have one row a channel of K");
  require(args.B.extents() == args.Lambda.extents(), kWhere, "B must have the shape of Lambda");
  require(args.Ct.extents() == args.Lambda.extents(), kWhere, "Ct must have the shape of Lambda");
  require(args.dt.extent(0) == channels, kWhere, "dt must have one number a channel of K");
  require(args.P.absent() || args.P.extent(0) <= kDplrMaxRank, kWhere, "the rank of P is too high");
  require(args.P.absent() ||
              (args.P.extent(1) == channels && args.P.extent(2) == args.Lambda.extent(1)),
          kWhere, "P must have the shape of Lambda for each rank");
  if (Kernels<T>::needs_plan && channels * length > 0 &&
      (args.plan == nullptr || args.plan->length() != length)) {
    throw InvalidArgument({.where = kWhere,
                           .what = "the plan does not fit the kernel",
                           .got = args.plan == nullptr
                                      ? "no plan"
                                      : "a plan of length " + std::to_string(args.plan->length()),
                           .fix = "pass a DplrKernelPlan of length " + std::to_string(length)});
  }
}

template <typename T>
void forward(const DplrKernelArgs<T>& args, Workspace& workspace) {
  check<T>(args, args.K.extent(0), args.K.extent(1));
  Kernels<T>::forward(args, workspace);
}

template <typename T>
void backward(const DplrKernelGradArgs<T>& args, Workspace& workspace) {
  check<T>(args, args.dK.extent(0), args.dK.extent(1));
  require(args.dLambda.extents() == args.Lambda.extents() &&
              args.dP.extents() == args.P.extents() && args.dB.extents() == args.B.extents() &&
              args.dCt.extents() == args.Ct.extents() && args.ddt.extents() == args.dt.extents(),
          kWhere, "gradients must have the shapes of their operands");
  Kernels<T>::backward(args, workspace);
}

}  // namespace

DplrKernelPlan::DplrKernelPlan(int64_t length) : fft_(length) {
  std::vector<int64_t> position_of(length);
  std::vector<int64_t> root_at(length);
  for (int64_t p = 0; p < length; ++p) {
    root_at[p] = std::llround(fft_.turn(p) * static_cast<double>(length));
    position_of[root_at[p]] = p;
  }
  for (int64_t p = 0; p < length; ++p) {
    const int64_t k = root_at[p];
    if (2 * k > length) continue;
    position_.push_back(p);
    mate_.push_back(position_of[(length - k) % length]);
    // The transform sums x_p^j with x_p = exp(2 pi i k / length), the node w itself.
    const double theta = -std::numbers::pi * static_cast<double>(k) / static_cast<double>(length);
    const double c = std::cos(theta), s = std::sin(theta);
    cosine_.push_back(static_cast<float>(c));
    sine_.push_back(static_cast<float>(s));
    cosine_squared_.push_back(static_cast<float>(c * c));
    sine_squared_4_.push_back(static_cast<float>(4 * s * s));
    sine_cosine_4_.push_back(static_cast<float>(4 * s * c));
  }
  // Padding repeats the node w = 1: results of it are finite and nobody reads them.
  const size_t padded = (cosine_.size() + kTile - 1) / kTile * kTile;
  cosine_.resize(padded, 1.0f);
  cosine_squared_.resize(padded, 1.0f);
  sine_.resize(padded, 0.0f);
  sine_squared_4_.resize(padded, 0.0f);
  sine_cosine_4_.resize(padded, 0.0f);
}

size_t dplr_kernel_workspace_bytes(int64_t length, int64_t channels, int64_t modes, int64_t rank) {
  // Nodes are half of the roots, padded; a transform holds rows for two channels a lane.
  const int64_t padded =
      (length / 2 + DplrKernelPlan::kTile) / DplrKernelPlan::kTile * DplrKernelPlan::kTile;
  const int64_t transform = 2 * length * 2 * kFftMaxLanes;
  return Workspace::bytes_for<float>(channels * 2 * padded) +
         static_cast<size_t>(thread_count()) *
             Workspace::bytes_for<float>(
                 std::max(transform, dplr_cauchy_scratch_floats(modes, rank)));
}

void dplr_kernel(const DplrKernelArgs<float>& args, Workspace& workspace) {
  forward(args, workspace);
}
void dplr_kernel(const DplrKernelArgs<double>& args, Workspace& workspace) {
  forward(args, workspace);
}
void dplr_kernel_grad(const DplrKernelGradArgs<float>& args, Workspace& workspace) {
  backward(args, workspace);
}
void dplr_kernel_grad(const DplrKernelGradArgs<double>& args, Workspace& workspace) {
  backward(args, workspace);
}

}  // namespace longwave::ops
