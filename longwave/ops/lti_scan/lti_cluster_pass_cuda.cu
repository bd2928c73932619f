// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_box_map_cuda.h"
#include "longwave/ops/lti_scan/lti_cluster_launch_cuda.h"
#include "longwave/ops/lti_scan/lti_cluster_pass_cuda.h"

namespace longwave::ops::lti_cuda {
namespace {

using Pass = ScanPass<__nv_bfloat16>;

// Some channels of a pass, scanned in that way.
Pass part_of(const Pass& pass, int64_t first, int64_t count) {
  Pass part = pass;
  part.system.a = pass.system.a.slice(0, first, count);
  part.system.c = pass.system.c.slice(0, first, count);
  if (!pass.system.d.absent()) part.system.d = pass.system.d.slice(0, first, count);
  part.u = pass.u.slice(2, first, count);
  part.y = pass.y.slice(2, first, count);
  if (!pass.first.absent()) part.first = pass.first.slice(1, first, count);
  part.last = pass.last.slice(1, first, count);
  return part;
}

// Segments are carried in smaller ones, where they are too few to keep a GPU busy.
LtiCut carry_cut(const LtiScanCudaSize& size, const LtiCut& cut) {
  constexpr int64_t kBlocks = 128;
  if (cut.segments <= 1 || cut.steps % kLtiClusterCarry != 0) return cut;
  const int64_t units = cut.steps / kLtiClusterCarry;
  const int64_t tiles = groups_of(size.channels, ClusterForm::kChannels);
  for (int64_t finer = 1; finer <= units; ++finer) {
    if (units % finer != 0) continue;
    const int64_t lines = size.batch * cut.segments * finer;
    if (finer < units && groups_of(lines, ClusterForm::kLines) * tiles < kBlocks) continue;
    const int64_t steps = cut.steps / finer;
    return {groups_of(size.time, steps), steps};
  }
  return cut;
}

template <int kModeTiles>
ClusterPart queue_part(const Pass& pass, int64_t first_channel, const LtiCut& cut,
                       const LtiCut& carried, const Constants& all, gpu::DeviceScratch& scratch,
                       cudaStream_t stream) {
  using Tiles = ScanTiles<ClusterForm, kModeTiles>;
  const Constants constants{all.tiles + first_channel * Tiles::kCount * 32,
                            all.hops + first_channel * kScanHops * Tiles::kModes};
  Borders h = {};
  if (cut.segments > 1) {
    h = queue_borders<ClusterForm, ClusterForm, kModeTiles>(pass, carried, constants, scratch,
                                                            stream);
  }
  return {.lines = {cut, cut.segments, pass.u.extent(0), pass.u.extent(1), pass.u.extent(2)},
          .first_channel = first_channel,
          .tiles = constants.tiles,
          .hops = constants.hops,
          .finer = cut.segments > 1 ? cut.steps / carried.steps : 1,
          .h = h,
          .first = pass.first,
          .last = pass.last};
}

// A size's channels as a plan parts them, and how these are carried.
struct ClusterParts {
  LtiScanCudaSize first, rest;
  LtiCut first_carried, rest_carried;

  ClusterParts(const LtiScanCudaSize& size, const LtiClusterPlan& plan) : first(size), rest(size) {
    first.channels = std::min(size.channels, plan.channels);
    rest.channels = size.channels - first.channels;
    first_carried = carry_cut(first, plan.first);
    rest_carried = carry_cut(rest, plan.rest);
  }
};

template <int kModeTiles>
void queue_tiles(const Pass& pass, ClusterScanLaunch& launch, std::byte* workspace,
                 cudaStream_t stream) {
  const LtiClusterPlan& plan = pass.plan.clusters;
  const ClusterParts parts(
      {pass.u.extent(0), pass.u.extent(1), pass.u.extent(2), pass.system.a.extent(1)}, plan);
  const int64_t first = parts.first.channels, rest = parts.rest.channels;
  gpu::DeviceScratch scratch(workspace);
  const Constants constants = queue_factors<ClusterForm, kModeTiles>(
      pass, {first, parts.first_carried.steps, parts.rest_carried.steps}, scratch, stream);
  launch.parts[0] = queue_part<kModeTiles>(part_of(pass, 0, first), 0, plan.first,
                                           parts.first_carried, constants, scratch, stream);
  launch.parts[1] = {};
  if (rest > 0) {
    launch.parts[1] = queue_part<kModeTiles>(part_of(pass, first, rest), first, plan.rest,
                                             parts.rest_carried, constants, scratch, stream);
  }
  queue_cluster_scan(launch, kModeTiles, stream, pass.where);
}

}  // namespace

size_t cluster_pass_bytes(const LtiScanCudaSize& size, const LtiClusterPlan& plan) {
  const ClusterParts parts(size, plan);
  return constant_bytes<ClusterForm>(size.channels) +
         border_bytes(parts.first, parts.first_carried) +
         border_bytes(parts.rest, parts.rest_carried);
}

bool queue_on_clusters(const Pass& pass, std::byte* workspace, cudaStream_t stream) {
  const int64_t modes = pass.system.a.extent(1);
  if (pass.plan.clusters.first.steps == 0 || modes > kLtiScanCudaModes || !gpu::is_hopper()) {
    return false;
  }
  // A pass backwards has reversed views; the copy engine takes them as they lie in memory.
  const bool backwards = pass.system.direction == Direction::kAdjoint;
  const auto in_memory = [&](const auto& view) { return backwards ? gpu::reversed(view) : view; };
  const View<__nv_bfloat16, 3> y = in_memory(pass.y);
  constexpr BoxShape kShape{kLtiClusterChannels, kLtiClusterStage, CU_TENSOR_MAP_SWIZZLE_32B};
  const auto u_boxes = box_map(in_memory(pass.u), kShape), y_boxes = box_map(y, kShape);
  if (!u_boxes || !y_boxes) return false;
  ClusterScanLaunch launch{
      .backwards = backwards, .u_boxes = *u_boxes, .y_boxes = *y_boxes, .y = y, .parts = {}};
  if (modes <= 16) {
    queue_tiles<2>(pass, launch, workspace, stream);
  } else {
    queue_tiles<4>(pass, launch, workspace, stream);
  }
  queue_tail(pass, kLtiClusterStage, stream);
  return true;
}

}  // namespace longwave::ops::lti_cuda
