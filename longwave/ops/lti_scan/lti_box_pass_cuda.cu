// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_box_launch_cuda.h"
#include "longwave/ops/lti_scan/lti_box_map_cuda.h"
#include "longwave/ops/lti_scan/lti_box_pass_cuda.h"

namespace longwave::ops::lti_cuda {
namespace {

using Pass = ScanPass<__nv_bfloat16>;
using BoxCarryForm = CarryForm<__nv_bfloat16>;

// Segments are carried in smaller ones, where they are too few to keep a GPU busy.
LtiCut carry_cut(const LtiScanCudaSize& size, const LtiCut& cut) {
  const int64_t units = cut.steps / kLtiBoxCarry;
  const int64_t tiles = groups_of(size.channels, BoxCarryForm::kChannels);
  for (int64_t finer = 1; finer <= units; ++finer) {
    if (units % finer != 0) continue;
    const int64_t lines = size.batch * cut.segments * finer;
    if (finer < units && groups_of(lines, BoxCarryForm::kLines) * tiles < kLtiBlocks) continue;
    const int64_t steps = cut.steps / finer;
    return {groups_of(size.time, steps), steps};
  }
  return cut;
}

template <int kModeTiles>
void queue_tiles(const Pass& pass, BoxScanLaunch& launch, std::byte* workspace,
                 cudaStream_t stream) {
  const LtiCut& cut = pass.plan.boxes;
  const LtiScanCudaSize size{pass.u.extent(0), pass.u.extent(1), pass.u.extent(2),
                             pass.system.a.extent(1)};
  launch.lines = {cut, cut.segments, size.batch, size.time, size.channels};
  if (cut.segments > 1) {
    const LtiCut carried = carry_cut(size, cut);
    gpu::DeviceScratch scratch(workspace);
    const Constants constants = queue_factors<kModeTiles>(pass, carried.steps, scratch, stream);
    launch.h = queue_borders<kModeTiles>(pass, carried, constants, scratch, stream);
    launch.finer = cut.steps / carried.steps;
  }
  launch.first = pass.first;
  launch.last = pass.last;
  queue_box_scan(launch, size.modes, stream, pass.where);
}

}  // namespace

size_t box_pass_bytes(const LtiScanCudaSize& size, const LtiCut& cut) {
  if (cut.segments <= 1) return 0;
  return constant_bytes<__nv_bfloat16>(size.channels) + border_bytes(size, carry_cut(size, cut));
}

bool queue_through_boxes(const Pass& pass, std::byte* workspace, cudaStream_t stream) {
  const int64_t modes = pass.system.a.extent(1);
  if (pass.plan.boxes.steps == 0 || modes > kLtiScanCudaModes || !gpu::is_hopper()) return false;
  // A pass backwards has reversed views; the copy engine takes them as they lie in memory.
  const bool backwards = pass.system.direction == Direction::kAdjoint;
  const auto in_memory = [&](const auto& view) { return backwards ? gpu::reversed(view) : view; };
  const View<__nv_bfloat16, 3> y = in_memory(pass.y);
  // Blocks side by side want the rest of what the second cache takes.
  constexpr BoxShape kShape{kLtiBoxChannels, kBoxSteps, CU_TENSOR_MAP_SWIZZLE_32B,
                            CU_TENSOR_MAP_L2_PROMOTION_L2_128B};
  const auto u_boxes = box_map(in_memory(pass.u), kShape), y_boxes = box_map(y, kShape);
  if (!u_boxes || !y_boxes) return false;
  BoxScanLaunch launch{
      .u_boxes = *u_boxes, .y_boxes = *y_boxes, .system = pass.system, .y = y, .lines = {}};
  with_mode_tiles(modes, [&](auto tiles) {
    queue_tiles<decltype(tiles)::value>(pass, launch, workspace, stream);
  });
  queue_tail(pass, kStep, stream);
  return true;
}

}  // namespace longwave::ops::lti_cuda
