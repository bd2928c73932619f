// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/gated_norm/gated_norm_check.h"
#include "longwave/ops/gated_norm/gated_norm_gate_cuda.cuh"

namespace longwave::ops {
namespace {

using gpu::Gate;
using gpu::Pack;

constexpr const char* kWhere = "gated_norm_cuda";

// x silu(z) of a pack, and the squares of what is normalised added to `square`.
template <int kPack, typename T>
__device__ Pack<kPack> gated(const GatedNormCudaArgs<T>& args, int64_t r, int64_t c,
                             float& square) {
  const bool before = args.order == GateOrder::kBefore;
  Pack<kPack> v = gpu::pack_of<kPack>(args.x, r, c);
  const Gate<kPack> gate(gpu::pack_of_gate<kPack>(args.z, r, c), !args.z.absent());
#pragma unroll
  for (int k = 0; k < kPack; ++k) {
    const float x = v.v[k];
    v.v[k] *= gate.value.v[k];
    const float normed = before ? v.v[k] : x;
    square = fmaf(normed, normed, square);
  }
  return v;
}

template <int kPack, typename T>
__device__ void store(const GatedNormCudaArgs<T>& args, int64_t r, int64_t c, Pack<kPack> v,
                      float inverse) {
  const Pack<kPack> w = gpu::pack_of<kPack>(args.w, c);
#pragma unroll
  for (int k = 0; k < kPack; ++k) v.v[k] *= inverse * w.v[k];
  gpu::store_pack(v, gpu::pack_at<kPack>(args.y, r, c));
}

template <typename T>
__device__ float inverse_of(const GatedNormCudaArgs<T>& args, float square) {
  const float count = static_cast<float>(args.x.extent(1) / args.groups);
  return 1.0f / sqrtf(square / count + args.epsilon);
}

template <typename T, int kPack>
__global__ void __launch_bounds__(gpu::GroupOfWarp::kThreads)
    gated_norm_kernel(const __grid_constant__ GatedNormCudaArgs<T> args) {
  const gpu::GroupOfWarp at(args.x.extent(0), args.x.extent(1), args.groups, kPack);
  if (!at.exists) return;
  float square = 0.0f;
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += 32 * kPack) gated<kPack>(args, at.row, c, square);
  const float inverse = inverse_of(args, gpu::add_over_warp(square));
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += 32 * kPack) {
    store(args, at.row, c, gated<kPack>(args, at.row, c, square), inverse);
  }
  if (threadIdx.x % 32 == 0) args.inverse(at.row, at.group) = inverse;
}

// A block's group of a row, kept in registers.
template <typename T, int kPack>
__global__ void __launch_bounds__(gpu::kBlockRowThreads)
    gated_norm_block_kernel(const __grid_constant__ GatedNormCudaArgs<T> args) {
  const int64_t row = blockIdx.x / args.groups, group = blockIdx.x % args.groups;
  const int64_t size = args.x.extent(1) / args.groups, first = group * size;
  Pack<kPack> kept[gpu::kBlockRowShare / kPack];
  float square[1]{};
  gpu::over_block_row<kPack>(
      size, [&](int i, int64_t c) { kept[i] = gated<kPack>(args, row, first + c, square[0]); });
  gpu::BlockSum<1>().add(square);
  const float inverse = inverse_of(args, square[0]);
  gpu::over_block_row<kPack>(
      size, [&](int i, int64_t c) { store(args, row, first + c, kept[i], inverse); });
  if (threadIdx.x == 0) args.inverse(row, group) = inverse;
}

template <typename T, int kPack>
void launch(const GatedNormCudaArgs<T>& args, cudaStream_t stream) {
  const int64_t size = args.x.extent(1) / args.groups, pieces = args.x.extent(0) * args.groups;
  if (gpu::block_keeps_group(size)) {
    gated_norm_block_kernel<T, kPack>
        <<<gpu::blocks_for(pieces, 1, kWhere), gpu::block_row_threads(size), 0, stream>>>(args);
  } else {
    const unsigned blocks = gpu::blocks_for(pieces, gpu::GroupOfWarp::kGroups, kWhere);
    gated_norm_kernel<T, kPack><<<blocks, gpu::GroupOfWarp::kThreads, 0, stream>>>(args);
  }
  gpu::require_device(cudaGetLastError(), kWhere);
}

}  // namespace

template <typename T>
void gated_norm_cuda(const GatedNormCudaArgs<T>& args, cudaStream_t stream) {
  check_gated_norm(kWhere, args);
  require_shape(kWhere, "inverse", args.inverse, {args.x.extent(0), args.groups});
  if (args.x.size() == 0) return;
  const int64_t group = args.x.extent(1) / args.groups;
  if (gpu::in_wide_packs<T>(group, args.w, args.x, args.z, args.y)) {
    launch<T, gpu::kGatedNormPack>(args, stream);
  } else {
    launch<T, 1>(args, stream);
  }
}

template void gated_norm_cuda(const GatedNormCudaArgs<float>&, cudaStream_t);
template void gated_norm_cuda(const GatedNormCudaArgs<__half>&, cudaStream_t);
template void gated_norm_cuda(const GatedNormCudaArgs<__nv_bfloat16>&, cudaStream_t);

}  // namespace longwave::ops
