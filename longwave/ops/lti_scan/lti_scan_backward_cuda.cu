// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/capacity_cuda.h"
#include "longwave/ops/lti_scan/lti_box_grad_launch_cuda.h"
#include "longwave/ops/lti_scan/lti_box_map_cuda.h"
#include "longwave/ops/lti_scan/lti_grad_kernel_cuda.cuh"
#include "longwave/ops/lti_scan/lti_launch_cuda.cuh"
#include "longwave/ops/require_shape.h"

namespace longwave::ops {
namespace {

using lti_cuda::Borders;
using lti_cuda::Ends;
using lti_cuda::kSumModes;
using lti_cuda::Lines;
using lti_cuda::Parts;
using lti_cuda::Slope;
using lti_cuda::SumsCarryForm;
using lti_cuda::SumsForm;
using lti_cuda::SumTiles;

constexpr const char* kWhere = "lti_scan_cuda_backward";

// Scratch memory of the sums; without memory it says how much it would take.
template <typename T>
struct SumsScratch {
  SumsScratch(const LtiScanCudaSize& size, const LtiCut& cut)
      : groups(std::max<int64_t>(1, lti_cuda::groups_of(size.modes, kSumModes))),
        rows(groups * size.channels),
        line_groups(lti_cuda::groups_of(size.batch * cut.segments, lti_cuda::kStep)),
        h{nullptr, size.batch, cut.segments, size.channels, kSumModes},
        parts{nullptr, nullptr, nullptr, line_groups, groups, size.channels, SumsForm<T>::kChunk},
        end_size(size.batch * size.channels * size.modes) {}

  size_t bytes() const {
    using lti_cuda::bytes_for;
    return bytes_for<uint4>(rows * SumTiles<SumsForm<T>>::kCount * 32) +
           bytes_for<float2>(rows * lti_cuda::kSumHops * kSumModes) +
           2 * bytes_for<float2>(h.size(groups)) + bytes_for<float2>(parts.state_count()) +
           bytes_for<float>(parts.pair_count()) + 2 * bytes_for<float2>(end_size);
  }

  void lay_out(std::byte* workspace) {
    using lti_cuda::take;
    gpu::DeviceScratch scratch(workspace);
    tiles = take<uint4>(scratch, rows * SumTiles<SumsForm<T>>::kCount * 32);
    hops = take<float2>(scratch, rows * lti_cuda::kSumHops * kSumModes);
    h.states = take<float2>(scratch, h.size(groups));
    s = h;
    s.states = take<float2>(scratch, h.size(groups));
    parts.states = take<float2>(scratch, parts.state_count());
    parts.pairs = take<float>(scratch, parts.pair_count());
    for (auto& end : ends) end = take<std::complex<float>>(scratch, end_size);
  }

  int64_t groups, rows, line_groups;
  Borders h, s = {};
  Parts parts;
  int64_t end_size;
  uint4* tiles = nullptr;
  float2* hops = nullptr;
  std::complex<float>* ends[2] = {};
};

LtiScanCudaSize size_of(const auto& args) {
  return {args.u.extent(0), args.u.extent(1), args.u.extent(2), args.a.extent(1)};
}

template <typename T>
LtiScanCudaSize check(const LtiScanCudaGradArgs<T>& args) {
  const LtiScanCudaSize size = size_of(args);
  const std::array<int64_t, 3> state{size.batch, size.channels, size.modes};
  const std::array<int64_t, 2> factor{size.channels, size.modes};
  require_shape(kWhere, "a", args.a, factor);
  require_shape(kWhere, "c", args.c, factor);
  require_shape(kWhere, "da", args.da, factor);
  require_shape(kWhere, "dc", args.dc, factor);
  require_shape(kWhere, "h0", args.h0, state);
  require_shape(kWhere, "dh0", args.dh0, state);
  if (!args.dh.absent()) require_shape(kWhere, "dh", args.dh, state);
  require_shape(kWhere, "dy", args.dy, args.u.extents());
  require_shape(kWhere, "du", args.du, args.u.extents());
  require(args.d.absent() == args.dd.absent(), kWhere,
          "d and dd must be both given or both absent");
  if (!args.d.absent()) {
    require_shape(kWhere, "d", args.d, {size.channels});
    require_shape(kWhere, "dd", args.dd, {size.channels});
  }
  return size;
}

// Scratch memory of the gradient through boxes.
struct BoxGradScratch {
  explicit BoxGradScratch(const LtiScanCudaSize& size)
      : parts{nullptr,
              nullptr,
              nullptr,
              lti_cuda::groups_of(size.batch, lti_cuda::kGradLines),
              std::max<int64_t>(1, lti_cuda::groups_of(size.modes, kSumModes)),
              size.channels,
              lti_cuda::kGradChunk} {}

  size_t bytes() const {
    using lti_cuda::bytes_for;
    return bytes_for<float2>(parts.state_count()) + bytes_for<float>(parts.lag_count());
  }
  void lay_out(std::byte* workspace) {
    gpu::DeviceScratch scratch(workspace);
    parts.states = lti_cuda::take<float2>(scratch, parts.state_count());
    parts.lags = lti_cuda::take<float>(scratch, parts.lag_count());
  }

  Parts parts;
};

// The gradient through boxes; absent where scan and sums have to do.
template <typename T>
std::optional<lti_cuda::BoxGradLaunch> box_grad(const LtiScanCudaGradArgs<T>& args,
                                                const LtiScanPlan& plan) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    const LtiScanCudaSize size = size_of(args);
    const bool fits = plan.grad_boxes && args.dh.absent() && size.modes <= kLtiScanCudaModes;
    if (!fits || !gpu::is_hopper()) return std::nullopt;
    constexpr lti_cuda::BoxShape kOutputs{kLtiBoxChannels, lti_cuda::kGradBox,
                                          CU_TENSOR_MAP_SWIZZLE_32B,
                                          CU_TENSOR_MAP_L2_PROMOTION_L2_128B};
    constexpr lti_cuda::BoxShape kInputs{lti_cuda::kGradChannels, lti_cuda::kGradBox,
                                         CU_TENSOR_MAP_SWIZZLE_NONE,
                                         CU_TENSOR_MAP_L2_PROMOTION_L2_256B, lti_cuda::kGradLines};
    const auto u = lti_cuda::box_map(args.u, kInputs), dy = lti_cuda::box_map(args.dy, kInputs);
    const auto du = lti_cuda::box_map(View<const T, 3>(args.du), kOutputs);
    if (!u || !dy || !du) return std::nullopt;
    return lti_cuda::BoxGradLaunch{
        .u_boxes = *u,
        .dy_boxes = *dy,
        .du_boxes = *du,
        .lines = {lti_cut(size.time, 1), 1, size.batch, size.time, size.channels},
        .a = args.a,
        .c = args.c,
        .d = args.d,
        .h0 = args.h0,
        .dh0 = args.dh0,
        .parts = {}};
  }
  return std::nullopt;
}

// The states before each segment.
template <typename T>
void queue_borders(const LtiScanCudaGradArgs<T>& args, const LtiCut& cut,
                   const SumsScratch<T>& scratch, cudaStream_t stream) {
  const LtiScanCudaSize size = size_of(args);
  lti_cuda::queue(
      lti_cuda::sum_factors_kernel<SumsForm<T>>, gpu::blocks_for(scratch.rows, 1, kWhere),
      lti_cuda::kFactorThreads, 0,
      lti_cuda::SumFactorsLaunch{args.a, scratch.groups, cut.steps, scratch.tiles, scratch.hops},
      stream, kWhere);
  const Lines carried{cut, cut.segments - 1, size.batch, size.time, size.channels};
  lti_cuda::queue(
      lti_cuda::carry_kernel<SumsCarryForm<T>, SumTiles<SumsForm<T>>::kStates, Slope::kToo>,
      lti_cuda::blocks_of<SumsCarryForm<T>>(carried, scratch.groups, kWhere),
      SumsCarryForm<T>::kThreads, lti_cuda::CarryMemory<SumsCarryForm<T>>::kBytes,
      lti_cuda::CarryLaunch<T>{.lines = carried,
                               .u = lti_cuda::signal_of(args.u),
                               .groups = scratch.groups,
                               .tiles = scratch.tiles,
                               .set = SumTiles<SumsForm<T>>::kCount,
                               .hops = scratch.hops,
                               .hop_rows = lti_cuda::kSumHops,
                               .h = scratch.h,
                               .s = scratch.s},
      stream, kWhere);
  lti_cuda::join<Slope::kToo>({.hops = scratch.hops,
                               .hop_rows = lti_cuda::kSumHops,
                               .first = args.h0,
                               .groups = scratch.groups,
                               .h = scratch.h,
                               .s = scratch.s},
                              stream, kWhere);
}

// Sums over steps of dy h and dy dh/da, in parts.
template <typename T>
void queue_sums(const LtiScanCudaGradArgs<T>& args, const LtiCut& cut,
                const SumsScratch<T>& scratch, const Ends& ends, cudaStream_t stream) {
  const LtiScanCudaSize size = size_of(args);
  const Lines lines{cut, cut.segments, size.batch, size.time, size.channels};
  queue_borders(args, cut, scratch, stream);
  lti_cuda::queue(lti_cuda::sums_kernel<SumsForm<T>>,
                  lti_cuda::blocks_of<SumsForm<T>>(lines, scratch.groups, kWhere),
                  SumsForm<T>::kThreads, lti_cuda::SumsMemory<SumsForm<T>>::kBytes,
                  lti_cuda::SumsLaunch<T>{.lines = lines,
                                          .u = lti_cuda::signal_of(args.u),
                                          .dy = lti_cuda::signal_of(args.dy),
                                          .groups = scratch.groups,
                                          .tiles = scratch.tiles,
                                          .hops = scratch.hops,
                                          .h = scratch.h,
                                          .s = scratch.s,
                                          .parts = scratch.parts,
                                          .ends = ends},
                  stream, kWhere);
}

template <typename T>
lti_cuda::GradientsLaunch<T> gradients(const LtiScanCudaGradArgs<T>& args, const Parts& parts,
                                       const Ends& ends) {
  return {.a = args.a,
          .c = args.c,
          .u = args.u,
          .dh = args.dh,
          .parts = parts,
          .ends = ends,
          .da = args.da,
          .dc = args.dc,
          .dd = args.dd};
}

}  // namespace

template <typename T>
size_t lti_scan_grad_plan_bytes(const LtiScanCudaSize& size, const LtiScanPlan& plan) {
  // The sums begin when the scan of dy is done.
  return std::max({lti_cuda::scan_pass_bytes<T>(size, plan),
                   SumsScratch<T>(size, plan.sums).bytes(), BoxGradScratch(size).bytes()});
}

template <typename T>
void lti_scan_grad_by_plan(const LtiScanCudaGradArgs<T>& args, const LtiScanPlan& plan,
                           std::span<std::byte> workspace, cudaStream_t stream) {
  const LtiScanCudaSize size = check(args);
  require(workspace.size() >= lti_scan_grad_plan_bytes<T>(size, plan), kWhere,
          "the workspace is too small");
  gpu::require_shared_bytes(std::max(lti_cuda::SumsMemory<SumsForm<T>>::kBytes,
                                     lti_cuda::CarryMemory<SumsCarryForm<T>>::kBytes),
                            kWhere, "train on an H100 or H200, or on the CPU");
  if (auto boxes = box_grad(args, plan)) {
    BoxGradScratch scratch(size);
    scratch.lay_out(workspace.data());
    boxes->parts = scratch.parts;
    if constexpr (std::is_same_v<T, __nv_bfloat16>) {
      lti_cuda::queue_box_grad(*boxes, gradients(args, scratch.parts, {}), stream, kWhere);
    }
    return;
  }
  const lti_cuda::ScanSystem system{lti_cuda::Direction::kAdjoint, args.a, args.c, args.d};
  lti_cuda::queue_scan<T>(
      {system, gpu::reversed(args.dy), args.dh, gpu::reversed(args.du), args.dh0, plan, kWhere},
      workspace.data(), stream);
  SumsScratch<T> scratch(size, plan.sums);
  scratch.lay_out(workspace.data());
  Ends ends;
  if (!args.dh.absent()) {
    ends.h = {scratch.ends[0], {size.batch, size.channels, size.modes}};
    ends.s = {scratch.ends[1], {size.batch, size.channels, size.modes}};
  }
  queue_sums(args, plan.sums, scratch, ends, stream);
  lti_cuda::queue(lti_cuda::gradients_kernel<SumsForm<T>>,
                  gpu::blocks_for(size.channels, 1, kWhere), lti_cuda::kGradientThreads, 0,
                  gradients(args, scratch.parts, ends), stream, kWhere);
}

template <typename T>
size_t lti_scan_cuda_backward_workspace_bytes(const LtiScanCudaSize& size) {
  return lti_scan_grad_plan_bytes<T>(size, lti_scan_plan<T>(size));
}

template <typename T>
void lti_scan_cuda_backward(const LtiScanCudaGradArgs<T>& args, std::span<std::byte> workspace,
                            cudaStream_t stream) {
  lti_scan_grad_by_plan(args, lti_scan_plan<T>(check(args)), workspace, stream);
}

template size_t lti_scan_grad_plan_bytes<float>(const LtiScanCudaSize&, const LtiScanPlan&);
template size_t lti_scan_grad_plan_bytes<__half>(const LtiScanCudaSize&, const LtiScanPlan&);
template size_t lti_scan_grad_plan_bytes<__nv_bfloat16>(const LtiScanCudaSize&, const LtiScanPlan&);
template void lti_scan_grad_by_plan(const LtiScanCudaGradArgs<float>&, const LtiScanPlan&,
                                    std::span<std::byte>, cudaStream_t);
template void lti_scan_grad_by_plan(const LtiScanCudaGradArgs<__half>&, const LtiScanPlan&,
                                    std::span<std::byte>, cudaStream_t);
template void lti_scan_grad_by_plan(const LtiScanCudaGradArgs<__nv_bfloat16>&, const LtiScanPlan&,
                                    std::span<std::byte>, cudaStream_t);
template size_t lti_scan_cuda_backward_workspace_bytes<float>(const LtiScanCudaSize&);
template size_t lti_scan_cuda_backward_workspace_bytes<__half>(const LtiScanCudaSize&);
template size_t lti_scan_cuda_backward_workspace_bytes<__nv_bfloat16>(const LtiScanCudaSize&);
template void lti_scan_cuda_backward(const LtiScanCudaGradArgs<float>&, std::span<std::byte>,
                                     cudaStream_t);
template void lti_scan_cuda_backward(const LtiScanCudaGradArgs<__half>&, std::span<std::byte>,
                                     cudaStream_t);
template void lti_scan_cuda_backward(const LtiScanCudaGradArgs<__nv_bfloat16>&,
                                     std::span<std::byte>, cudaStream_t);

}  // namespace longwave::ops
