// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/ops/cuda/capacity_cuda.h"
#include "longwave/ops/ssd/ssd_cuda.h"

namespace longwave::ops {

/// Steps of a chunk on a GPU: tiles of either size take as much shared memory.
template <typename T>
inline constexpr int kSsdCudaChunk = sizeof(T) == 2 ? 64 : 32;

/// Rows of a state that a warp holds, and columns of head_dim that a block sees to.
inline constexpr int kSsdRows = 16;
inline constexpr int kSsdColumns = 64;

namespace ssd_cuda_kernels {

/// Where errors of the scan and of its gradient say that they are.
inline constexpr const char* kWhere = "ssd_cuda";
inline constexpr const char* kGradWhere = "ssd_cuda_backward";

}  // namespace ssd_cuda_kernels

/// Which kernels march through the chunks: those of any GPU, or those of Hopper; or the one for a
/// single step.
enum class SsdEngine { kWarps, kWarpgroups, kStep };

/// How a scan is spread over a GPU.
struct SsdPlan {
  int heads = 1;              ///< of a block: divides those of a group, or 1 or 2 of kWarpgroups
  int64_t segments = 1;       ///< of time, scanned side by side
  int64_t segment_steps = 0;  ///< of each segment but the last; a multiple of the chunk
  SsdEngine engine = SsdEngine::kWarps;
  int64_t split = 0;  ///< of kWarpgroups: blocks, the last, that are one for each head instead
  int stages = 2;     ///< of kWarps: with 2 the next chunk is on its way while one is worked on

  bool operator==(const SsdPlan&) const = default;
};

/// The most heads that a block of kWarps can see to: their states have room in its registers, and
/// their tiles in its shared memory.
template <typename T>
int ssd_most_heads(const SsdSize& size, const gpu::Capacity& capacity);

/// The plan of kWarps with so many heads a block and at most that many segments. It has two stages
/// where those of one head have room.
template <typename T>
SsdPlan ssd_plan(const SsdSize& size, const gpu::Capacity& capacity, int heads, int64_t segments);

/// The plan of kWarps that fills a GPU; the shapes and its capacity alone decide.
template <typename T>
SsdPlan ssd_plan(const SsdSize& size, const gpu::Capacity& capacity);

/// Bytes of shared memory that a block of a plan of kWarps takes.
template <typename T>
int ssd_shared_bytes(const SsdSize& size, const SsdPlan& plan);

/// Whether kWarpgroups take T and these shapes, and the present GPU is a Hopper.
template <typename T>
bool ssd_fits_warpgroups(const SsdSize& size);

/// The plan of kWarpgroups with one or two heads a block and at most that many segments. Blocks
/// that would have less than half of the present GPU are split.
template <typename T>
SsdPlan ssd_warpgroup_plan(const SsdSize& size, int heads, int64_t segments);

/// The plan of the scan that fills the present GPU; the shapes, its kind and its capacity decide.
template <typename T>
SsdPlan ssd_scan_plan(const SsdSize& size);

/// Bytes of device memory that a plan takes.
size_t ssd_plan_bytes(const SsdSize& size, const SsdPlan& plan);

/// How a gradient is spread over a GPU.
struct SsdGradPlan {
  SsdPlan march;      ///< for states and adjoints
  int64_t heads = 1;  ///< of a group that a block sees to, one after the other
  SsdEngine engine = SsdEngine::kWarps;
  int columns = kSsdColumns;  ///< of head_dim that a block of kWarps sees to at once, or half
};

/// Whether kWarpgroups can find gradients of this extent, and the present GPU is a Hopper.
template <typename T>
bool ssd_grad_fits_warpgroups(const SsdSize& size);

/// The plan of kWarps with so many heads a block, or with as many as fill a GPU; its columns are
/// halved where all have no room. Or the plan that fills the present GPU.
template <typename T>
SsdGradPlan ssd_grad_plan(const SsdSize& size, const gpu::Capacity& capacity, int64_t heads);
template <typename T>
SsdGradPlan ssd_grad_plan(const SsdSize& size, const gpu::Capacity& capacity);
template <typename T>
SsdGradPlan ssd_grad_plan(const SsdSize& size);

/// Bytes of shared memory that a block of a plan of kWarps takes.
template <typename T>
int ssd_grad_shared_bytes(const SsdSize& size, const SsdGradPlan& plan);

/// The most states for whose gradients a GPU has room; kSsdCudaStates from 151 KB a block on.
template <typename T>
int64_t ssd_grad_most_states(const gpu::Capacity& capacity);

/// Bytes of device memory that a plan of the gradient takes.
template <typename T>
size_t ssd_grad_plan_bytes(const SsdSize& size, const SsdGradPlan& plan);

/// ssd_cuda and its gradient by a given plan, for tests and measurements. Where rows cannot be
/// copied 16 bytes at a time, kWarps stand in for kWarpgroups.
template <typename T>
void ssd_by_plan(const SsdCudaArgs<T>& args, const SsdPlan& plan, std::span<std::byte> workspace,
                 CUstream_st* stream);
template <typename T>
void ssd_grad_by_plan(const SsdCudaGradArgs<T>& args, const SsdGradPlan& plan,
                      std::span<std::byte> workspace, CUstream_st* stream);

}  // namespace longwave::ops
