// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/capacity_cuda.h"
#include "longwave/ops/lti_scan/lti_box_grad_launch_cuda.h"
#include "longwave/ops/lti_scan/lti_box_pass_cuda.h"
#include "longwave/ops/lti_scan/lti_launch_cuda.cuh"
#include "longwave/ops/require_shape.h"

namespace longwave::ops {
namespace lti_cuda {
namespace {

// Operands and results of a group of modes.
template <typename T>
ScanPass<T> group_of(const ScanPass<T>& pass, int64_t first, int64_t count) {
  ScanPass<T> group = pass;
  group.system.a = pass.system.a.slice(1, first, count);
  group.system.c = pass.system.c.slice(1, first, count);
  if (first > 0) group.system.d = {};
  if (!pass.first.absent()) group.first = pass.first.slice(2, first, count);
  group.last = pass.last.slice(2, first, count);
  return group;
}

template <typename T, int kModeTiles>
void queue_group(const ScanPass<T>& pass, bool add, std::byte* workspace, cudaStream_t stream) {
  using Tiles = ScanTiles<ScanForm<T>, kModeTiles>;
  gpu::require_shared_bytes(
      std::max(ScanMemory<ScanForm<T>, kModeTiles>::kBytes, CarryMemory<CarryForm<T>>::kBytes),
      pass.where, "use a GPU with more shared memory a block, an H100, or the CPU");
  const int64_t channels = pass.u.extent(2);
  const LtiCut& cut = pass.plan.scan;
  gpu::DeviceScratch scratch(workspace);
  const Constants constants = queue_factors<kModeTiles>(pass, cut.steps, scratch, stream);
  const Borders h = queue_borders<kModeTiles>(pass, cut, constants, scratch, stream);
  const Lines lines{cut, cut.segments, pass.u.extent(0), pass.u.extent(1), channels};
  queue(scan_kernel<ScanForm<T>, kModeTiles>, blocks_of<ScanForm<T>>(lines, 1, pass.where),
        ScanForm<T>::kThreads, ScanMemory<ScanForm<T>, kModeTiles>::kBytes,
        ScanLaunch<T>{.lines = lines,
                      .u = signal_of(pass.u),
                      .y = signal_of(pass.y),
                      .add = add,
                      .tiles = constants.tiles,
                      .hops = constants.hops,
                      .h = h,
                      .last = pass.last},
        stream, pass.where);
  queue_tail(pass, kStage, stream);
}

}  // namespace

template <typename T>
size_t scan_pass_bytes(const LtiScanCudaSize& size, const LtiScanPlan& plan) {
  const size_t bytes = constant_bytes<T>(size.channels) + border_bytes(size, plan.scan);
  return plan.boxes.steps == 0 ? bytes : std::max(bytes, box_pass_bytes(size, plan.boxes));
}

template <typename T>
void queue_scan(const ScanPass<T>& pass, std::byte* workspace, cudaStream_t stream) {
  const int64_t modes = pass.system.a.extent(1);
  if (pass.u.extent(0) == 0 || pass.u.extent(2) == 0) return;
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    if (queue_through_boxes(pass, workspace, stream)) return;
  }
  for (int64_t first = 0; first == 0 || first < modes; first += kLtiScanCudaModes) {
    const int64_t count = std::min(kLtiScanCudaModes, modes - first);
    const ScanPass<T> group = group_of(pass, first, count);
    with_mode_tiles(count, [&](auto tiles) {
      queue_group<T, decltype(tiles)::value>(group, first > 0, workspace, stream);
    });
  }
}

template size_t scan_pass_bytes<float>(const LtiScanCudaSize&, const LtiScanPlan&);
template size_t scan_pass_bytes<__half>(const LtiScanCudaSize&, const LtiScanPlan&);
template size_t scan_pass_bytes<__nv_bfloat16>(const LtiScanCudaSize&, const LtiScanPlan&);
template void queue_scan(const ScanPass<float>&, std::byte*, cudaStream_t);
template void queue_scan(const ScanPass<__half>&, std::byte*, cudaStream_t);
template void queue_scan(const ScanPass<__nv_bfloat16>&, std::byte*, cudaStream_t);

}  // namespace lti_cuda

namespace {

constexpr const char* kWhere = "lti_scan_cuda";
// The shortest segment worth a pass of its own; longer where the scan takes several blocks for one
// that carries.
template <typename T>
constexpr int64_t kShortest = 128 * lti_cuda::CarryForm<T>::kLines / lti_cuda::ScanForm<T>::kLines;

// `groups` blocks see to the same lines and channels.
template <typename Form>
LtiCut cut_for(const LtiScanCudaSize& size, int64_t groups) {
  const int64_t tiles = std::max<int64_t>(
      1, lti_cuda::groups_of(size.channels, Form::kChannels) * std::max<int64_t>(1, groups));
  const int64_t lines = std::max<int64_t>(1, kLtiBlocks / tiles) * Form::kLines;
  const int64_t wanted = lines / std::max<int64_t>(1, size.batch);
  return lti_cut(size.time, std::clamp<int64_t>(size.time / kShortest<typename Form::Number>, 1,
                                                std::max<int64_t>(1, wanted)));
}

// Where whole sequences keep about half of the GPU busy: else segments take less time.
bool grad_boxes_for(const LtiScanCudaSize& size) {
  constexpr int64_t kClusters = kLtiBlocks / lti_cuda::kGradBlocks;
  if (size.modes > kLtiScanCudaModes) return false;
  const int64_t tiles = lti_cuda::groups_of(size.channels, kLtiBoxChannels);
  return 2 * size.batch * tiles >= kClusters * lti_cuda::kGradLines;
}

// Through boxes a block takes the same time for each stage of a sequence. Segments that fill the
// GPU leave it fewer stages, but a pass that finds the states before them costs as much as four,
// and in each stage the more the more blocks there are; with few modes, when stages take less time,
// twice that. Many sequences shorter than a stage take the other scan less time.
template <typename T>
LtiCut box_cut_for(const LtiScanCudaSize& size) {
  constexpr double kPassStages = 4;
  if (!std::is_same_v<T, __nv_bfloat16> || size.modes > kLtiScanCudaModes) return {};
  const int64_t tiles = lti_cuda::groups_of(size.channels, kLtiBoxChannels);
  const int64_t blocks = tiles * lti_cuda::groups_of(size.batch, kLtiBoxLines);
  if (blocks * size.time == 0 || (size.time < kLtiBoxStage && blocks > kLtiBlocks)) return {};
  const int64_t segments = std::max<int64_t>(1, kLtiBlocks / tiles * kLtiBoxLines / size.batch);
  const double pass = static_cast<double>(blocks) / (size.modes <= 16 ? 113 : 227);
  const double saved = 1 - 1 / static_cast<double>(segments) - pass;
  const auto stages = static_cast<double>(lti_cuda::groups_of(size.time, kLtiBoxStage));
  return lti_cut(size.time, saved * stages > kPassStages ? segments : 1, kLtiBoxStage);
}

template <typename T>
LtiScanCudaSize check(const LtiScanCudaArgs<T>& args) {
  const LtiScanCudaSize size{args.u.extent(0), args.u.extent(1), args.u.extent(2),
                             args.a.extent(1)};
  require_shape(kWhere, "a", args.a, {size.channels, size.modes});
  require_shape(kWhere, "c", args.c, {size.channels, size.modes});
  if (!args.d.absent()) require_shape(kWhere, "d", args.d, {size.channels});
  require_shape(kWhere, "h", args.h, {size.batch, size.channels, size.modes});
  require_shape(kWhere, "y", args.y, args.u.extents());
  return size;
}

}  // namespace

LtiCut lti_cut(int64_t time, int64_t segments, int64_t stage) {
  const int64_t stages = lti_cuda::groups_of(time, stage);
  const int64_t each = lti_cuda::groups_of(stages, std::max<int64_t>(1, segments));
  return {each == 0 ? 1 : lti_cuda::groups_of(stages, each), each * stage};
}

template <typename T>
LtiScanPlan lti_scan_plan(const LtiScanCudaSize& size) {
  return {
      cut_for<lti_cuda::CarryForm<T>>(size, 1),
      cut_for<lti_cuda::SumsForm<T>>(size, lti_cuda::groups_of(size.modes, lti_cuda::kSumModes)),
      box_cut_for<T>(size), std::is_same_v<T, __nv_bfloat16> && grad_boxes_for(size)};
}

template <typename T>
size_t lti_scan_plan_bytes(const LtiScanCudaSize& size, const LtiScanPlan& plan) {
  return lti_cuda::scan_pass_bytes<T>(size, plan);
}

template <typename T>
void lti_scan_by_plan(const LtiScanCudaArgs<T>& args, const LtiScanPlan& plan,
                      std::span<std::byte> workspace, cudaStream_t stream) {
  const LtiScanCudaSize size = check(args);
  require(workspace.size() >= lti_scan_plan_bytes<T>(size, plan), kWhere,
          "the workspace is too small");
  const lti_cuda::ScanSystem system{lti_cuda::Direction::kForward, args.a, args.c, args.d};
  lti_cuda::queue_scan<T>({system, args.u, args.h, args.y, args.h, plan, kWhere}, workspace.data(),
                          stream);
}

template <typename T>
size_t lti_scan_cuda_workspace_bytes(const LtiScanCudaSize& size) {
  return lti_scan_plan_bytes<T>(size, lti_scan_plan<T>(size));
}

template <typename T>
void lti_scan_cuda(const LtiScanCudaArgs<T>& args, std::span<std::byte> workspace,
                   cudaStream_t stream) {
  lti_scan_by_plan(args, lti_scan_plan<T>(check(args)), workspace, stream);
}

template LtiScanPlan lti_scan_plan<float>(const LtiScanCudaSize&);
template LtiScanPlan lti_scan_plan<__half>(const LtiScanCudaSize&);
template LtiScanPlan lti_scan_plan<__nv_bfloat16>(const LtiScanCudaSize&);
template size_t lti_scan_plan_bytes<float>(const LtiScanCudaSize&, const LtiScanPlan&);
template size_t lti_scan_plan_bytes<__half>(const LtiScanCudaSize&, const LtiScanPlan&);
template size_t lti_scan_plan_bytes<__nv_bfloat16>(const LtiScanCudaSize&, const LtiScanPlan&);
template void lti_scan_by_plan(const LtiScanCudaArgs<float>&, const LtiScanPlan&,
                               std::span<std::byte>, cudaStream_t);
template void lti_scan_by_plan(const LtiScanCudaArgs<__half>&, const LtiScanPlan&,
                               std::span<std::byte>, cudaStream_t);
template void lti_scan_by_plan(const LtiScanCudaArgs<__nv_bfloat16>&, const LtiScanPlan&,
                               std::span<std::byte>, cudaStream_t);
template size_t lti_scan_cuda_workspace_bytes<float>(const LtiScanCudaSize&);
template size_t lti_scan_cuda_workspace_bytes<__half>(const LtiScanCudaSize&);
template size_t lti_scan_cuda_workspace_bytes<__nv_bfloat16>(const LtiScanCudaSize&);
template void lti_scan_cuda(const LtiScanCudaArgs<float>&, std::span<std::byte>, cudaStream_t);
template void lti_scan_cuda(const LtiScanCudaArgs<__half>&, std::span<std::byte>, cudaStream_t);
template void lti_scan_cuda(const LtiScanCudaArgs<__nv_bfloat16>&, std::span<std::byte>,
                            cudaStream_t);

}  // namespace longwave::ops
