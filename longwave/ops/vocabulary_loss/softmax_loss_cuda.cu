// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/pack_cuda.cuh"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/vocabulary_loss/softmax_loss_cuda.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "softmax_loss_cuda";
constexpr int kThreads = 512;
constexpr int kWarp = 32;
constexpr int kAtOnce = 16;  // scores of a thread that are under way

// Sum of e^(score - largest) over some scores.
struct Partition {
  float largest = -INFINITY;
  float sum = 0.0f;
};

// e^(x - largest); 0 for what was never seen, also where nothing was.
__device__ float power(float x, float largest) {
  return x == -INFINITY ? 0.0f : gpu::exp2_fast((x - largest) * gpu::kLog2E);
}

__device__ Partition joined(const Partition& a, const Partition& b) {
  Partition both;
  both.largest = fmaxf(a.largest, b.largest);
  both.sum = a.sum * power(a.largest, both.largest) + b.sum * power(b.largest, both.largest);
  return both;
}

__device__ Partition joined_in_warp(Partition mine) {
#pragma unroll
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const Partition other{__shfl_xor_sync(0xffffffffu, mine.largest, mask),
                          __shfl_xor_sync(0xffffffffu, mine.sum, mask)};
    mine = joined(mine, other);
  }
  return mine;
}

// A thread's next scores of a row, from `begin` on; they lie in packs, each as far from the next as
// the block's threads reach. Those beyond the row are -infinity.
template <typename T, int kPack>
struct Scores {
  static constexpr int kPacks = kAtOnce / kPack;
  gpu::Pack<kPack> packs[kPacks];

  __device__ static int64_t place(int64_t begin, int i) {
    return begin + int64_t{i} * kThreads * kPack;
  }

  __device__ Scores(const T* row, int64_t stride, int64_t begin, int64_t classes) {
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const int64_t c = place(begin, i);
      if (c < classes) {
        packs[i] = gpu::load_pack<kPack>(row + c * stride);
      } else {
#pragma unroll
        for (int k = 0; k < kPack; ++k) packs[i].v[k] = -INFINITY;
      }
    }
  }
};

// kPack scores that a thread reads at once, of adjacent classes if there are more than one.
template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads)
    softmax_loss_kernel(const __grid_constant__ SoftmaxLossCudaArgs<T> args) {
  using Several = Scores<T, kPack>;
  const int64_t r = blockIdx.x, classes = args.scores.extent(1), stride = args.scores.stride(1);
  T* const scores = args.scores.data() + r * args.scores.stride(0);
  const int64_t label = args.label(r), first = threadIdx.x * kPack;
  const bool asked = label >= 0;
  const float chosen = asked ? gpu::widen(scores[label * stride]) : 0.0f;
  Partition mine;
  for (int64_t begin = first; begin < classes; begin += kAtOnce * kThreads) {
    const Several x(scores, stride, begin, classes);
    float largest = mine.largest;
#pragma unroll
    for (const auto& pack : x.packs) {
#pragma unroll
      for (const float score : pack.v) largest = fmaxf(largest, score);
    }
    float sum = mine.sum * power(mine.largest, largest);
#pragma unroll
    for (const auto& pack : x.packs) {
#pragma unroll
      for (const float score : pack.v) sum += power(score, largest);
    }
    mine = {largest, sum};
  }
  __shared__ Partition of_warps[kThreads / kWarp];
  mine = joined_in_warp(mine);
  if (threadIdx.x % kWarp == 0) of_warps[threadIdx.x / kWarp] = mine;
  // All have read the chosen score, too.
  __syncthreads();
  Partition whole;
#pragma unroll
  for (int i = 0; i < kThreads / kWarp; ++i) whole = joined(whole, of_warps[i]);
  const float total = whole.largest + logf(whole.sum);
  if (threadIdx.x == 0) args.loss(r) = asked ? total - chosen : 0.0f;
  const float scale = asked ? args.scale(0) : 0.0f;
  for (int64_t begin = first; begin < classes; begin += kAtOnce * kThreads) {
    Several x(scores, stride, begin, classes);
#pragma unroll
    for (int i = 0; i < Several::kPacks; ++i) {
      const int64_t c = Several::place(begin, i);
      if (c >= classes) break;
#pragma unroll
      for (int k = 0; k < kPack; ++k) {
        const float share = gpu::exp2_fast((x.packs[i].v[k] - total) * gpu::kLog2E);
        x.packs[i].v[k] = asked ? scale * (share - (c + k == label ? 1.0f : 0.0f)) : 0.0f;
      }
      gpu::store_pack(x.packs[i], scores + c * stride);
    }
  }
}

template <typename T>
void launch(const SoftmaxLossCudaArgs<T>& args, cudaStream_t stream) {
  constexpr int kBytes = 16, kPack = kBytes / static_cast<int>(sizeof(T));
  const unsigned blocks = gpu::blocks_for(args.scores.extent(0), 1, kWhere);
  if (gpu::in_pieces(args.scores, args.scores.extent(1), kBytes)) {
    softmax_loss_kernel<T, kPack><<<blocks, kThreads, 0, stream>>>(args);
  } else {
    softmax_loss_kernel<T, 1><<<blocks, kThreads, 0, stream>>>(args);
  }
}

}  // namespace

template <typename T>
void softmax_loss_cuda(const SoftmaxLossCudaArgs<T>& args, cudaStream_t stream) {
  const int64_t rows = args.scores.extent(0);
  require_shape(kWhere, "label", args.label, {rows});
  require_shape(kWhere, "scale", args.scale, {1});
  require_shape(kWhere, "loss", args.loss, {rows});
  if (args.scores.size() == 0) return;
  launch(args, stream);
  gpu::require_device(cudaGetLastError(), kWhere);
}

template void softmax_loss_cuda(const SoftmaxLossCudaArgs<float>&, cudaStream_t);
template void softmax_loss_cuda(const SoftmaxLossCudaArgs<__half>&, cudaStream_t);
template void softmax_loss_cuda(const SoftmaxLossCudaArgs<__nv_bfloat16>&, cudaStream_t);

}  // namespace longwave::ops
