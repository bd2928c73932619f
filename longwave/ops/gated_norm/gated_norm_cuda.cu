// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/pack_cuda.cuh"
#include "longwave/ops/cuda/sum_rows_cuda.h"
#include "longwave/ops/gated_norm/gated_norm_check.h"
#include "longwave/ops/gated_norm/gated_norm_cuda.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "gated_norm_cuda";
constexpr const char* kGradWhere = "gated_norm_cuda_backward";
constexpr int kThreads = 128;
constexpr int kWarp = 32;
constexpr int kWide = 4;  // channels of a lane at a time, where they can be read at once

// The group of a row that this thread's warp sees to, and its channels from the lane's first on.
struct Place {
  int64_t row, group, first, end;
  bool exists;

  __device__ Place(int64_t rows, int64_t channels, int64_t groups, int pack) {
    const int64_t warp = (int64_t{blockIdx.x} * kThreads + threadIdx.x) / kWarp;
    const int64_t size = channels / groups;
    row = warp / groups;
    group = warp % groups;
    first = group * size + threadIdx.x % kWarp * pack;
    end = (group + 1) * size;
    exists = row < rows;
  }
};

// silu(z) and its slope; 1 and 0 where there is no gate.
template <int kPack>
struct Gate {
  gpu::Pack<kPack> value, slope;

  template <typename T>
  __device__ Gate(const View<const T, 2>& z, int64_t row, int64_t channel) {
    gpu::Pack<kPack> at{};
    if (!z.absent()) at = gpu::load_pack<kPack>(&z(row, channel));
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float share = gpu::sigmoid(at.v[k]);
      value.v[k] = z.absent() ? 1.0f : at.v[k] * share;
      slope.v[k] = z.absent() ? 0.0f : gpu::silu_slope(at.v[k], share);
    }
  }
};

template <int kPack>
__device__ gpu::Pack<kPack> weights_of(const View<const float, 1>& w, int64_t c) {
  if constexpr (kPack == 1) return {w(c)};
  return gpu::load_pack<kPack>(&w(c));
}

template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads)
    gated_norm_kernel(const __grid_constant__ GatedNormCudaArgs<T> args) {
  const int64_t channels = args.x.extent(1);
  const Place at(args.x.extent(0), channels, args.groups, kPack);
  if (!at.exists) return;
  const bool before = args.order == GateOrder::kBefore;
  float square = 0.0f;
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += kWarp * kPack) {
    gpu::Pack<kPack> v = gpu::load_pack<kPack>(&args.x(at.row, c));
    const Gate<kPack> gate(args.z, at.row, c);
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      if (before) v.v[k] *= gate.value.v[k];
      square = fmaf(v.v[k], v.v[k], square);
    }
  }
  square = gpu::add_over_warp(square) / static_cast<float>(channels / args.groups);
  const float inverse = 1.0f / sqrtf(square + args.epsilon);
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += kWarp * kPack) {
    gpu::Pack<kPack> v = gpu::load_pack<kPack>(&args.x(at.row, c));
    const gpu::Pack<kPack> w = weights_of<kPack>(args.w, c);
    const Gate<kPack> gate(args.z, at.row, c);
#pragma unroll
    for (int k = 0; k < kPack; ++k) v.v[k] = v.v[k] * gate.value.v[k] * inverse * w.v[k];
    gpu::store_pack(v, &args.y(at.row, c));
  }
  if (threadIdx.x % kWarp == 0) args.inverse(at.row, at.group) = inverse;
}

// What the gradient of an element needs besides sums.
template <int kPack>
struct Slopes {
  gpu::Pack<kPack> x, dy, w;
  Gate<kPack> gate;

  template <typename T>
  __device__ Slopes(const GatedNormCudaGradArgs<T>& args, int64_t r, int64_t c)
      : x(gpu::load_pack<kPack>(&args.x(r, c))),
        dy(gpu::load_pack<kPack>(&args.dy(r, c))),
        w(weights_of<kPack>(args.w, c)),
        gate(args.z, r, c) {}

  // dw's share; times w it is g u of the contract.
  __device__ float share(int k, float inverse) const {
    return dy.v[k] * gate.value.v[k] * x.v[k] * inverse;
  }

  template <typename T>
  __device__ void store(const GatedNormCudaGradArgs<T>& args, int64_t r, int64_t c, float inverse,
                        float product) const {
    const bool before = args.order == GateOrder::kBefore;
    gpu::Pack<kPack> dx, dz;
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float through = dy.v[k] * w.v[k], silu = gate.value.v[k];
      // What is normalised is x times this, and the result is multiplied by the other.
      const float inner = before ? silu : 1.0f, outer = before ? 1.0f : silu;
      const float u = x.v[k] * inner * inverse;
      const float dv = inverse * fmaf(-u, product, through * outer);
      dx.v[k] = dv * inner;
      dz.v[k] = (before ? dv * x.v[k] : through * u) * gate.slope.v[k];
    }
    gpu::store_pack(dx, &args.dx(r, c));
    if (!args.dz.absent()) gpu::store_pack(dz, &args.dz(r, c));
  }
};

template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads)
    gated_norm_grad_kernel(const __grid_constant__ GatedNormCudaGradArgs<T> args) {
  const int64_t channels = args.x.extent(1), groups = args.inverse.extent(1);
  const Place at(args.x.extent(0), channels, groups, kPack);
  if (!at.exists) return;
  const float inverse = args.inverse(at.row, at.group);
  float product = 0.0f;
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += kWarp * kPack) {
    const Slopes<kPack> slopes(args, at.row, c);
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      product = fmaf(slopes.share(k, inverse), slopes.w.v[k], product);
    }
  }
  product = gpu::add_over_warp(product) / static_cast<float>(channels / groups);
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += kWarp * kPack) {
    Slopes<kPack>(args, at.row, c).store(args, at.row, c, inverse, product);
  }
}

// The same with dw for one group of at most kBlockChannels channels: a block goes through a stretch
// of rows together, each thread with channels of its own, whose sums it keeps.
constexpr int kBlockThreads = 384;
constexpr int kBlockChannels = kBlockThreads * kWide;

template <typename T>
__global__ void __launch_bounds__(kBlockThreads)
    gated_norm_grad_block_kernel(const __grid_constant__ GatedNormCudaGradArgs<T> args,
                                 const __grid_constant__ View<float, 3> sums) {
  constexpr int kWarps = kBlockThreads / kWarp;
  __shared__ float of_warps[2][kWarps];
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t begin = blockIdx.x * kGatedNormCudaRows,
                end = min(begin + kGatedNormCudaRows, rows);
  const int64_t c = threadIdx.x * kWide;
  const bool mine = c < channels;
  gpu::Pack<kWide> dw{};
  for (int64_t r = begin; r < end; ++r) {
    const float inverse = args.inverse(r, 0);
    const Slopes<kWide> slopes(args, r, mine ? c : 0);
    float product = 0.0f;
#pragma unroll
    for (int k = 0; k < kWide; ++k) {
      const float share = mine ? slopes.share(k, inverse) : 0.0f;
      dw.v[k] += share;
      product = fmaf(share, slopes.w.v[k], product);
    }
    product = gpu::add_over_warp(product);
    // Rows take turns with the room, so that one barrier is enough.
    float(&room)[kWarps] = of_warps[r % 2];
    if (threadIdx.x % kWarp == 0) room[threadIdx.x / kWarp] = product;
    __syncthreads();
    product = 0.0f;
#pragma unroll
    for (int i = 0; i < kWarps; ++i) product += room[i];
    if (mine) slopes.store(args, r, c, inverse, product / static_cast<float>(channels));
  }
  if (mine) gpu::store_pack(dw, &sums(blockIdx.x, 0, c));
}

// A thread's channels and stretch of rows; sums (stretches, 1, channels) of dw.
template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads)
    gated_norm_sums_kernel(const __grid_constant__ GatedNormCudaGradArgs<T> args,
                           const __grid_constant__ View<float, 3> sums) {
  constexpr int kChannels = kThreads * kPack;
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t tiles = (channels + kChannels - 1) / kChannels, stretch = blockIdx.x / tiles;
  const int64_t c = blockIdx.x % tiles * kChannels + threadIdx.x * kPack;
  if (c >= channels) return;
  const int64_t group = c / (channels / args.inverse.extent(1));
  const int64_t begin = stretch * kGatedNormCudaRows, end = min(begin + kGatedNormCudaRows, rows);
  gpu::Pack<kPack> dw{};
#pragma unroll 4
  for (int64_t r = begin; r < end; ++r) {
    const Slopes<kPack> slopes(args, r, c);
#pragma unroll
    for (int k = 0; k < kPack; ++k) dw.v[k] += slopes.share(k, args.inverse(r, group));
  }
  gpu::store_pack(dw, &sums(stretch, 0, c));
}

int64_t stretches(int64_t rows) { return (rows + kGatedNormCudaRows - 1) / kGatedNormCudaRows; }

// Whether lanes can take kWide channels of all operands at a time.
template <typename T, typename... Views>
bool in_wide_packs(int64_t group, const View<const float, 1>& w, const Views&... views) {
  const auto packed = [group](const auto& x, int64_t bytes) {
    return x.absent() || gpu::in_pieces(x, group, bytes);
  };
  return packed(w, kWide * sizeof(float)) && (packed(views, kWide * sizeof(T)) && ...);
}

template <typename T, int kPack>
void launch(const GatedNormCudaGradArgs<T>& args, const View<float, 3>& sums, cudaStream_t stream) {
  constexpr int64_t kChannels = kThreads * kPack;
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const unsigned blocks =
      gpu::blocks_for(rows * args.inverse.extent(1), kThreads / kWarp, kGradWhere);
  gated_norm_grad_kernel<T, kPack><<<blocks, kThreads, 0, stream>>>(args);
  const int64_t tiles = (channels + kChannels - 1) / kChannels;
  const unsigned pieces = gpu::blocks_for(sums.extent(0) * tiles, 1, kGradWhere);
  gated_norm_sums_kernel<T, kPack><<<pieces, kThreads, 0, stream>>>(args, sums);
  gpu::require_device(cudaGetLastError(), kGradWhere);
}

}  // namespace

size_t gated_norm_cuda_backward_workspace_bytes(int64_t rows, int64_t channels) {
  return gpu::DeviceScratch::bytes(stretches(rows) * channels);
}

template <typename T>
void gated_norm_cuda(const GatedNormCudaArgs<T>& args, cudaStream_t stream) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  check_gated_norm(kWhere, args);
  require_shape(kWhere, "inverse", args.inverse, {rows, args.groups});
  if (args.x.size() == 0) return;
  const unsigned blocks = gpu::blocks_for(rows * args.groups, kThreads / kWarp, kWhere);
  if (in_wide_packs<T>(channels / args.groups, args.w, args.x, args.z, args.y)) {
    gated_norm_kernel<T, kWide><<<blocks, kThreads, 0, stream>>>(args);
  } else {
    gated_norm_kernel<T, 1><<<blocks, kThreads, 0, stream>>>(args);
  }
  gpu::require_device(cudaGetLastError(), kWhere);
}

template <typename T>
void gated_norm_cuda_backward(const GatedNormCudaGradArgs<T>& args, std::span<std::byte> workspace,
                              cudaStream_t stream) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t groups = args.inverse.extent(1);
  check_gated_norm_gradient(kGradWhere, args);
  require(args.dz.absent() == args.z.absent(), kGradWhere, "dz must be there if and only if z is");
  require(workspace.size() >= gated_norm_cuda_backward_workspace_bytes(rows, channels), kGradWhere,
          "the workspace is too small");
  gpu::DeviceScratch scratch(workspace.data());
  const View<float, 3> sums(scratch.take(stretches(rows) * channels),
                            {stretches(rows), 1, channels});
  if (args.x.size() > 0) {
    if (!in_wide_packs<T>(channels / groups, args.w, args.x, args.z, args.dy, args.dx, args.dz)) {
      launch<T, 1>(args, sums, stream);
    } else if (groups == 1 && channels <= kBlockChannels && channels > kBlockChannels / 3) {
      const unsigned blocks = gpu::blocks_for(stretches(rows), 1, kGradWhere);
      gated_norm_grad_block_kernel<T><<<blocks, kBlockThreads, 0, stream>>>(args, sums);
      gpu::require_device(cudaGetLastError(), kGradWhere);
    } else {
      launch<T, kWide>(args, sums, stream);
    }
  }
  const View<float, 2> dw(args.dw.data(), {1, channels}, {0, args.dw.stride(0)});
  gpu::sum_rows(sums, dw, stream);
}

template void gated_norm_cuda(const GatedNormCudaArgs<float>&, cudaStream_t);
template void gated_norm_cuda(const GatedNormCudaArgs<__half>&, cudaStream_t);
template void gated_norm_cuda(const GatedNormCudaArgs<__nv_bfloat16>&, cudaStream_t);
template void gated_norm_cuda_backward(const GatedNormCudaGradArgs<float>&, std::span<std::byte>,
                                       cudaStream_t);
template void gated_norm_cuda_backward(const GatedNormCudaGradArgs<__half>&, std::span<std::byte>,
                                       cudaStream_t);
template void gated_norm_cuda_backward(const GatedNormCudaGradArgs<__nv_bfloat16>&,
                                       std::span<std::byte>, cudaStream_t);

}  // namespace longwave::ops
