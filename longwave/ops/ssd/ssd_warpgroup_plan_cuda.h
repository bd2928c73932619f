// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "longwave/ops/cuda/capacity_cuda.h"
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/ssd/ssd_plan_cuda.h"
#include "longwave/ops/ssd/ssd_size.h"
#include "longwave/ops/ssd/ssd_warpgroup_cuda.h"

namespace longwave::ops {
namespace ssd_cuda_kernels {

inline int64_t column_tiles(int64_t head_dim) { return (head_dim + kSsdColumns - 1) / kSsdColumns; }

/// Whether rows of T and of this extent lie in tiles of warpgroups, and the present GPU has them:
/// rows come in pieces of 16 bytes, those of states in at most two tiles.
template <typename T>
bool has_warpgroup_tiles(const SsdSize& size) {
  return sizeof(T) == 2 && size.head_dim > 0 && size.head_dim % 8 == 0 && size.state > 0 &&
         size.state % 8 == 0 && size.state <= kWarpgroupStates && gpu::is_hopper();
}

/// A plan with so many heads a block that cuts time in at most so many segments.
template <typename T>
SsdPlan cut(const SsdSize& size, int heads, int64_t segments) {
  constexpr int64_t kSteps = kSsdCudaChunk<T>;
  const int64_t chunks = std::max<int64_t>(1, (size.time + kSteps - 1) / kSteps);
  const int64_t each = (chunks + segments - 1) / segments;
  return {heads, (chunks + each - 1) / each, each * kSteps};
}

/// Blocks of warpgroups, where none is split.
inline int64_t warpgroup_blocks(const SsdSize& size, const SsdPlan& plan) {
  const int64_t share = size.heads / std::max<int64_t>(size.groups, 1);
  return size.batch * plan.segments * column_tiles(size.head_dim) * size.groups *
         ((share + plan.heads - 1) / plan.heads);
}

/// As ssd_warpgroup_plan, for a GPU of this capacity.
template <typename T>
SsdPlan warpgroup_plan(const SsdSize& size, const gpu::Capacity& capacity, int heads,
                       int64_t segments) {
  SsdPlan plan = cut<T>(size, heads, segments);
  plan.engine = SsdEngine::kWarpgroups;
  if (heads == 1) return plan;
  const int64_t blocks = warpgroup_blocks(size, plan), last = blocks % capacity.multiprocessors;
  if (blocks > last && 2 * last <= capacity.multiprocessors) plan.split = last;
  return plan;
}

}  // namespace ssd_cuda_kernels

template <typename T>
bool ssd_fits_warpgroups(const SsdSize& size) {
  using namespace ssd_cuda_kernels;
  // Products are of 64 rows of head_dim; rows come by coordinates of 32 bits.
  return size.head_dim > kSsdColumns / 2 &&
         std::max({size.batch, size.time, size.heads}) <= std::numeric_limits<int>::max() &&
         has_warpgroup_tiles<T>(size);
}

template <typename T>
SsdPlan ssd_warpgroup_plan(const SsdSize& size, int heads, int64_t segments) {
  using namespace ssd_cuda_kernels;
  return warpgroup_plan<T>(size, gpu::present_capacity(kWhere), heads, segments);
}

template <typename T>
SsdPlan ssd_scan_plan(const SsdSize& size) {
  using namespace ssd_cuda_kernels;
  if (size.time == 1) return {.segment_steps = kSsdCudaChunk<T>, .engine = SsdEngine::kStep};
  const gpu::Capacity capacity = gpu::present_capacity(kWhere);
  if (!ssd_fits_warpgroups<T>(size)) return ssd_plan<T>(size, capacity);
  // Measured on an H100, in units of what a chunk of two heads takes: a chunk of one head, the
  // pass for the ends of segments, a block until it has its first chunk, and passes more than one.
  constexpr double kAlone = 0.62, kEnds = 0.42, kStart = 12, kPasses = 5;
  // Shorter segments are not worth a pass.
  constexpr int64_t kShortest = 4 * kSsdCudaChunk<T>;
  const int64_t most = std::clamp<int64_t>(size.time / kShortest, 1, 16);
  const auto rounds = [&](int64_t blocks) {
    return static_cast<double>((blocks + capacity.multiprocessors - 1) / capacity.multiprocessors);
  };
  SsdPlan best;
  double least = std::numeric_limits<double>::infinity();
  for (int heads = 1; heads <= kWarpgroupHeads; ++heads) {
    const double each = heads == 1 ? kAlone : 1;
    for (int64_t segments = 1; segments <= most; ++segments) {
      const SsdPlan plan = warpgroup_plan<T>(size, capacity, heads, segments);
      const int64_t blocks = warpgroup_blocks(size, plan), ends = blocks - blocks / plan.segments;
      const double outputs = each * rounds(blocks - plan.split) + (plan.split > 0 ? kAlone : 0);
      const double chunks = kStart + static_cast<double>(plan.segment_steps) / kSsdCudaChunk<T>;
      const double time =
          (outputs + kEnds * each * rounds(ends)) * chunks + (ends > 0 ? kPasses : 0);
      if (time < least) {
        least = time;
        best = plan;
      }
    }
  }
  return best;
}

}  // namespace longwave::ops
