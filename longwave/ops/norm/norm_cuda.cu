// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/cuda/sum_rows_cuda.h"
#include "longwave/ops/norm/norm_cuda.h"
#include "longwave/ops/require_shape.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "row_norm_cuda";
constexpr const char* kGradWhere = "row_norm_cuda_backward";
constexpr int kThreads = 128;
constexpr int kWarp = 32;

// The row of this thread's warp.
__device__ int64_t row_of_warp() { return (int64_t{blockIdx.x} * kThreads + threadIdx.x) / kWarp; }

template <typename T, typename Y>
__global__ void __launch_bounds__(kThreads)
    row_norm_kernel(const __grid_constant__ RowNormCudaArgs<T, Y> args) {
  const int64_t r = row_of_warp(), channels = args.x.extent(1);
  const int lane = threadIdx.x % kWarp;
  if (r >= args.x.extent(0)) return;
  float mean = 0.0f, square = 0.0f;
  if (args.kind == RowNorm::kLayer) {
    for (int64_t c = lane; c < channels; c += kWarp) mean += gpu::widen(args.x(r, c));
    mean = gpu::add_over_warp(mean) / static_cast<float>(channels);
  }
  for (int64_t c = lane; c < channels; c += kWarp) {
    const float from_mean = gpu::widen(args.x(r, c)) - mean;
    square = fmaf(from_mean, from_mean, square);
  }
  square = gpu::add_over_warp(square) / static_cast<float>(channels);
  const float inverse = 1.0f / sqrtf(square + args.epsilon);
  for (int64_t c = lane; c < channels; c += kWarp) {
    const float b = args.b.absent() ? 0.0f : args.b(c);
    const float xhat = (gpu::widen(args.x(r, c)) - mean) * inverse;
    gpu::narrow(fmaf(xhat, args.w(c), b), args.y(r, c));
  }
  if (args.moments.absent() || lane != 0) return;
  args.moments(r, 0) = mean;
  args.moments(r, 1) = inverse;
}

template <typename T, typename Y>
__global__ void __launch_bounds__(kThreads)
    row_norm_grad_kernel(const __grid_constant__ RowNormCudaGradArgs<T, Y> args) {
  const int64_t r = row_of_warp(), channels = args.x.extent(1);
  const int lane = threadIdx.x % kWarp;
  if (r >= args.x.extent(0)) return;
  const float mean = args.moments(r, 0), inverse = args.moments(r, 1);
  float sum = 0.0f, product = 0.0f;
  for (int64_t c = lane; c < channels; c += kWarp) {
    const float xhat = (gpu::widen(args.x(r, c)) - mean) * inverse;
    const float g = gpu::widen(args.dy(r, c)) * args.w(c);
    sum += g;
    product = fmaf(g, xhat, product);
  }
  const float count = static_cast<float>(channels);
  sum = args.kind == RowNorm::kRms ? 0.0f : gpu::add_over_warp(sum) / count;
  product = gpu::add_over_warp(product) / count;
  for (int64_t c = lane; c < channels; c += kWarp) {
    const float xhat = (gpu::widen(args.x(r, c)) - mean) * inverse;
    const float g = gpu::widen(args.dy(r, c)) * args.w(c);
    gpu::narrow(inverse * (g - fmaf(xhat, product, sum)), args.dx(r, c));
  }
}

// A thread's channel and stretch of rows; sums (stretches, 2, channels) of dw and db.
template <typename T, typename Y>
__global__ void __launch_bounds__(kThreads)
    row_norm_sums_kernel(const __grid_constant__ RowNormCudaGradArgs<T, Y> args,
                         const __grid_constant__ View<float, 3> sums) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t tiles = (channels + kThreads - 1) / kThreads, stretch = blockIdx.x / tiles;
  const int64_t c = blockIdx.x % tiles * kThreads + threadIdx.x;
  if (c >= channels) return;
  const int64_t begin = stretch * kRowNormCudaRows, end = min(begin + kRowNormCudaRows, rows);
  float dw = 0.0f, db = 0.0f;
#pragma unroll 4
  for (int64_t r = begin; r < end; ++r) {
    const float dy = gpu::widen(args.dy(r, c));
    const float xhat = (gpu::widen(args.x(r, c)) - args.moments(r, 0)) * args.moments(r, 1);
    dw = fmaf(dy, xhat, dw);
    db += dy;
  }
  sums(stretch, 0, c) = dw;
  sums(stretch, 1, c) = db;
}

int64_t stretches(int64_t rows) { return (rows + kRowNormCudaRows - 1) / kRowNormCudaRows; }

}  // namespace

size_t row_norm_cuda_backward_workspace_bytes(int64_t rows, int64_t channels) {
  return gpu::DeviceScratch::bytes(stretches(rows) * 2 * channels);
}

template <typename T, typename Y>
void row_norm_cuda(const RowNormCudaArgs<T, Y>& args, cudaStream_t stream) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  require_shape(kWhere, "w", args.w, {channels});
  if (!args.b.absent()) require_shape(kWhere, "b", args.b, {channels});
  require_shape(kWhere, "y", args.y, args.x.extents());
  if (!args.moments.absent()) require_shape(kWhere, "moments", args.moments, {rows, 2});
  if (rows == 0) return;
  row_norm_kernel<T, Y>
      <<<gpu::blocks_for(rows, kThreads / kWarp, kWhere), kThreads, 0, stream>>>(args);
  gpu::require_device(cudaGetLastError(), kWhere);
}

template <typename T, typename Y>
void row_norm_cuda_backward(const RowNormCudaGradArgs<T, Y>& args, std::span<std::byte> workspace,
                            cudaStream_t stream) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  require_shape(kGradWhere, "w", args.w, {channels});
  require_shape(kGradWhere, "moments", args.moments, {rows, 2});
  require_shape(kGradWhere, "dy", args.dy, args.x.extents());
  require_shape(kGradWhere, "dx", args.dx, args.x.extents());
  require_shape(kGradWhere, "dw", args.dw, {channels});
  if (!args.db.absent()) require_shape(kGradWhere, "db", args.db, {channels});
  require(workspace.size() >= row_norm_cuda_backward_workspace_bytes(rows, channels), kGradWhere,
          "the workspace is too small");
  gpu::DeviceScratch scratch(workspace.data());
  const View<float, 3> sums(scratch.take(stretches(rows) * 2 * channels),
                            {stretches(rows), 2, channels});
  if (args.x.size() > 0) {
    row_norm_grad_kernel<T, Y>
        <<<gpu::blocks_for(rows, kThreads / kWarp, kGradWhere), kThreads, 0, stream>>>(args);
    const int64_t tiles = (channels + kThreads - 1) / kThreads;
    row_norm_sums_kernel<T, Y>
        <<<gpu::blocks_for(stretches(rows) * tiles, 1, kGradWhere), kThreads, 0, stream>>>(args,
                                                                                           sums);
    gpu::require_device(cudaGetLastError(), kGradWhere);
  }
  const auto row = [channels](const View<float, 1>& x) {
    return View<float, 2>(x.data(), {1, channels}, {0, x.stride(0)});
  };
  gpu::sum_rows(sums.slice(1, 0, 1), row(args.dw), stream);
  if (!args.db.absent()) gpu::sum_rows(sums.slice(1, 1, 1), row(args.db), stream);
}

template void row_norm_cuda(const RowNormCudaArgs<float>&, cudaStream_t);
template void row_norm_cuda(const RowNormCudaArgs<__half>&, cudaStream_t);
template void row_norm_cuda(const RowNormCudaArgs<__nv_bfloat16>&, cudaStream_t);
template void row_norm_cuda(const RowNormCudaArgs<float, __nv_bfloat16>&, cudaStream_t);
template void row_norm_cuda_backward(const RowNormCudaGradArgs<float>&, std::span<std::byte>,
                                     cudaStream_t);
template void row_norm_cuda_backward(const RowNormCudaGradArgs<__half>&, std::span<std::byte>,
                                     cudaStream_t);
template void row_norm_cuda_backward(const RowNormCudaGradArgs<__nv_bfloat16>&,
                                     std::span<std::byte>, cudaStream_t);
template void row_norm_cuda_backward(const RowNormCudaGradArgs<float, __nv_bfloat16>&,
                                     std::span<std::byte>, cudaStream_t);

}  // namespace longwave::ops
