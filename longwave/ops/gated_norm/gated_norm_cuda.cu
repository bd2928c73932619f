// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/cuda/sum_rows_cuda.h"
#include "longwave/ops/gated_norm/gated_norm_cuda.h"
#include "longwave/ops/require_shape.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "gated_norm_cuda";
constexpr const char* kGradWhere = "gated_norm_cuda_backward";
constexpr int kThreads = 128;
constexpr int kWarp = 32;

// The group of a row that this thread's warp sees to, and its channels from the lane's first on.
struct Place {
  int64_t row, group, first, end;
  bool exists;

  __device__ Place(int64_t rows, int64_t channels, int64_t groups) {
    const int64_t warp = (int64_t{blockIdx.x} * kThreads + threadIdx.x) / kWarp;
    const int64_t size = channels / groups;
    row = warp / groups;
    group = warp % groups;
    first = group * size + threadIdx.x % kWarp;
    end = (group + 1) * size;
    exists = row < rows;
  }
};

// silu(z) and its slope; 1 and 0 where there is no gate.
struct Gate {
  float value = 1.0f, slope = 0.0f;

  template <typename T>
  __device__ Gate(const View<const T, 2>& z, int64_t row, int64_t channel) {
    if (z.absent()) return;
    const float at = gpu::widen(z(row, channel)), share = gpu::sigmoid(at);
    value = at * share;
    slope = gpu::silu_slope(at, share);
  }
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    gated_norm_kernel(const __grid_constant__ GatedNormCudaArgs<T> args) {
  const int64_t channels = args.x.extent(1);
  const Place at(args.x.extent(0), channels, args.groups);
  if (!at.exists) return;
  const bool before = args.order == GateOrder::kBefore;
  float square = 0.0f;
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += kWarp) {
    float v = gpu::widen(args.x(at.row, c));
    if (before) v *= Gate(args.z, at.row, c).value;
    square = fmaf(v, v, square);
  }
  square = gpu::add_over_warp(square) / static_cast<float>(channels / args.groups);
  const float inverse = 1.0f / sqrtf(square + args.epsilon);
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += kWarp) {
    const float v = gpu::widen(args.x(at.row, c)) * Gate(args.z, at.row, c).value;
    gpu::narrow(v * inverse * args.w(c), args.y(at.row, c));
  }
  if (threadIdx.x % kWarp == 0) args.inverse(at.row, at.group) = inverse;
}

// dw's share of an element; times w it is g u of the contract.
template <typename T>
__device__ float share_of_weight(const GatedNormCudaGradArgs<T>& args, int64_t r, int64_t c,
                                 float gate, float inverse) {
  return gpu::widen(args.dy(r, c)) * gate * gpu::widen(args.x(r, c)) * inverse;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    gated_norm_grad_kernel(const __grid_constant__ GatedNormCudaGradArgs<T> args) {
  const int64_t channels = args.x.extent(1), groups = args.inverse.extent(1);
  const Place at(args.x.extent(0), channels, groups);
  if (!at.exists) return;
  const int64_t r = at.row;
  const bool before = args.order == GateOrder::kBefore;
  const float inverse = args.inverse(r, at.group);
  float product = 0.0f;
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += kWarp) {
    const float share = share_of_weight(args, r, c, Gate(args.z, r, c).value, inverse);
    product = fmaf(share, args.w(c), product);
  }
  product = gpu::add_over_warp(product) / static_cast<float>(channels / groups);
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += kWarp) {
    const Gate gate(args.z, r, c);
    const float x = gpu::widen(args.x(r, c)), through = gpu::widen(args.dy(r, c)) * args.w(c);
    // What is normalised is x times this, and the result is multiplied by the other.
    const float inner = before ? gate.value : 1.0f, outer = before ? 1.0f : gate.value;
    const float u = x * inner * inverse;
    const float dv = inverse * fmaf(-u, product, through * outer);
    gpu::narrow(dv * inner, args.dx(r, c));
    if (args.dz.absent()) continue;
    gpu::narrow((before ? dv * x : through * u) * gate.slope, args.dz(r, c));
  }
}

// A thread's channel and stretch of rows; sums (stretches, 1, channels) of dw.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    gated_norm_sums_kernel(const __grid_constant__ GatedNormCudaGradArgs<T> args,
                           const __grid_constant__ View<float, 3> sums) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t tiles = (channels + kThreads - 1) / kThreads, stretch = blockIdx.x / tiles;
  const int64_t c = blockIdx.x % tiles * kThreads + threadIdx.x;
  if (c >= channels) return;
  const int64_t group = c / (channels / args.inverse.extent(1));
  const int64_t begin = stretch * kGatedNormCudaRows, end = min(begin + kGatedNormCudaRows, rows);
  float dw = 0.0f;
#pragma unroll 4
  for (int64_t r = begin; r < end; ++r) {
    dw += share_of_weight(args, r, c, Gate(args.z, r, c).value, args.inverse(r, group));
  }
  sums(stretch, 0, c) = dw;
}

int64_t stretches(int64_t rows) { return (rows + kGatedNormCudaRows - 1) / kGatedNormCudaRows; }

void require_groups(const char* where, int64_t channels, int64_t groups) {
  require(groups >= 1 && channels % groups == 0, where, "channels must be a multiple of groups");
}

}  // namespace

size_t gated_norm_cuda_backward_workspace_bytes(int64_t rows, int64_t channels) {
  return gpu::DeviceScratch::bytes(stretches(rows) * channels);
}

template <typename T>
void gated_norm_cuda(const GatedNormCudaArgs<T>& args, cudaStream_t stream) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  require_groups(kWhere, channels, args.groups);
  if (!args.z.absent()) require_shape(kWhere, "z", args.z, args.x.extents());
  require_shape(kWhere, "w", args.w, {channels});
  require_shape(kWhere, "y", args.y, args.x.extents());
  require_shape(kWhere, "inverse", args.inverse, {rows, args.groups});
  if (args.x.size() == 0) return;
  const unsigned blocks = gpu::blocks_for(rows * args.groups, kThreads / kWarp, kWhere);
  gated_norm_kernel<T><<<blocks, kThreads, 0, stream>>>(args);
  gpu::require_device(cudaGetLastError(), kWhere);
}

template <typename T>
void gated_norm_cuda_backward(const GatedNormCudaGradArgs<T>& args, std::span<std::byte> workspace,
                              cudaStream_t stream) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t groups = args.inverse.extent(1);
  require_groups(kGradWhere, channels, groups);
  if (!args.z.absent()) require_shape(kGradWhere, "z", args.z, args.x.extents());
  require_shape(kGradWhere, "w", args.w, {channels});
  require_shape(kGradWhere, "inverse", args.inverse, {rows, groups});
  require_shape(kGradWhere, "dy", args.dy, args.x.extents());
  require_shape(kGradWhere, "dx", args.dx, args.x.extents());
  require_shape(kGradWhere, "dw", args.dw, {channels});
  require(args.dz.absent() == args.z.absent(), kGradWhere, "dz must be there if and only if z is");
  if (!args.dz.absent()) require_shape(kGradWhere, "dz", args.dz, args.x.extents());
  require(workspace.size() >= gated_norm_cuda_backward_workspace_bytes(rows, channels), kGradWhere,
          "the workspace is too small");
  gpu::DeviceScratch scratch(workspace.data());
  const View<float, 3> sums(scratch.take(stretches(rows) * channels),
                            {stretches(rows), 1, channels});
  if (args.x.size() > 0) {
    const unsigned blocks = gpu::blocks_for(rows * groups, kThreads / kWarp, kGradWhere);
    gated_norm_grad_kernel<T><<<blocks, kThreads, 0, stream>>>(args);
    const int64_t tiles = (channels + kThreads - 1) / kThreads;
    const unsigned pieces = gpu::blocks_for(stretches(rows) * tiles, 1, kGradWhere);
    gated_norm_sums_kernel<T><<<pieces, kThreads, 0, stream>>>(args, sums);
    gpu::require_device(cudaGetLastError(), kGradWhere);
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
