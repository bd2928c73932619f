// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/cuda/sum_rows_cuda.h"
#include "longwave/ops/norm/norm_check.h"
#include "longwave/ops/norm/norm_operands_cuda.cuh"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "row_norm_cuda_backward";

// xhat of a pack of x; `moments` are the mean and the inverse.
template <typename Pack>
__device__ Pack normed_of(Pack x, float2 moments) {
#pragma unroll
  for (float& v : x.v) v = (v - moments.x) * moments.y;
  return x;
}

// A row of the gradient: writes dx and dbranch; takes(place, dy, xhat) sees every pack. The next
// row's operands are asked for if it comes before `end`.
template <typename P, typename T, typename Y, typename From, typename Takes>
__device__ void row_gradient(const RowNormCudaGradArgs<T, Y>& args, int64_t r, int64_t end,
                             From& from, gpu::BlockSum<2>& of_row, const Takes& takes) {
  using Pack = typename P::Pack;
  const int64_t channels = args.x.extent(1), next = r + 1;
  const float2 moments = from.begin(r);
  typename P::Row slopes, normed;  // g = dy w, and xhat
  const auto read = [&](int i, int64_t c, Pack& slope, Pack& xhat) {
    const Pack dy = from.dy(i, c), w = P::load(args.w, c);
    xhat = normed_of(from.x(i, c), moments);
#pragma unroll
    for (int k = 0; k < P::kPack; ++k) slope.v[k] = dy.v[k] * w.v[k];
    return dy;
  };
  float sums[2]{};
  P::over_row(channels, [&](int i, int64_t c) {
    Pack &slope = slopes.packs[i], &xhat = normed.packs[i];
    takes(i, read(i, c, slope, xhat), xhat);
#pragma unroll
    for (int k = 0; k < P::kPack; ++k) {
      sums[0] = fmaf(slope.v[k], xhat.v[k], sums[0]);
      sums[1] += slope.v[k];
    }
  });
  from.passed(next, end);
  of_row.add(sums);
  const float count = static_cast<float>(channels), product = sums[0] / count;
  const float sum = args.kind == RowNorm::kRms ? 0.0f : sums[1] / count;
  P::over_row(channels, [&](int i, int64_t c) {
    if constexpr (!P::kKeeps) read(i, c, slopes.packs[i], normed.packs[i]);
    Pack dx{};
    if (!args.dsum.absent()) dx = from.dsum(i, c);
#pragma unroll
    for (int k = 0; k < P::kPack; ++k) {
      const float through = fmaf(normed.packs[i].v[k], product, sum);
      dx.v[k] += moments.y * (slopes.packs[i].v[k] - through);
    }
    gpu::store_pack(dx, P::at(args.dx, r, c));
    if (!args.dbranch.absent()) gpu::store_pack(dx, P::at(args.dbranch, r, c));
  });
  from.sum_passed(next, end);
}

// The shares of dw and, if there are two, db that a thread adds up.
template <typename P, int kSums>
struct Shares {
  typename P::Row of[kSums]{};

  __device__ void take(int i, const typename P::Pack& dy, const typename P::Pack& xhat) {
#pragma unroll
    for (int k = 0; k < P::kPack; ++k) {
      of[0].packs[i].v[k] = fmaf(dy.v[k], xhat.v[k], of[0].packs[i].v[k]);
      if (kSums == 2) of[kSums - 1].packs[i].v[k] += dy.v[k];
    }
  }
};

// Packs come ahead of their rows.
template <typename P, typename T, typename Y>
using OperandsOf =
    std::conditional_t<(P::kPack > 1), gpu::NormOperandsAhead<P, T, Y>, gpu::NormOperands<P, T, Y>>;

// A block's stretch of rows; sums (stretches, 2, channels) of dw and, if there are two, db.
template <typename P, int kSums, typename T, typename Y>
__global__ void __launch_bounds__(gpu::kBlockRowThreads)
    row_norm_grad_kernel(const __grid_constant__ RowNormCudaGradArgs<T, Y> args,
                         const __grid_constant__ View<float, 3> sums, int64_t stretch) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t begin = blockIdx.x * stretch, end = min(begin + stretch, rows);
  Shares<P, kSums> shares;
  gpu::BlockSum<2> of_row;
  OperandsOf<P, T, Y> from(args, begin);
  for (int64_t r = begin; r < end; ++r) {
    row_gradient<P>(args, r, end, from, of_row,
                    [&](int i, const auto& dy, const auto& xhat) { shares.take(i, dy, xhat); });
  }
  P::over_row(channels, [&](int i, int64_t c) {
#pragma unroll
    for (int which = 0; which < kSums; ++which) {
      gpu::store_pack(shares.of[which].packs[i], &sums(blockIdx.x, which, c));
    }
  });
}

// Rows of any length take two kernels: dx of a row,
template <typename P, typename T, typename Y>
__global__ void __launch_bounds__(gpu::kBlockRowThreads)
    row_norm_dx_kernel(const __grid_constant__ RowNormCudaGradArgs<T, Y> args) {
  gpu::BlockSum<2> of_row;
  gpu::NormOperands<P, T, Y> from(args, 0);
  row_gradient<P>(args, blockIdx.x, 0, from, of_row, [](int, const auto&, const auto&) {});
}

// and sums of a thread's channels over a stretch of rows.
template <typename P, typename T, typename Y>
__global__ void __launch_bounds__(gpu::kBlockRowThreads)
    row_norm_sums_kernel(const __grid_constant__ RowNormCudaGradArgs<T, Y> args,
                         const __grid_constant__ View<float, 3> sums, int64_t stretch) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t width = blockDim.x * P::kPack, tiles = (channels + width - 1) / width;
  const int64_t part = blockIdx.x / tiles, c = blockIdx.x % tiles * width + threadIdx.x * P::kPack;
  if (c >= channels) return;
  const int64_t begin = part * stretch, end = min(begin + stretch, rows);
  Shares<P, 2> shares;
#pragma unroll 4
  for (int64_t r = begin; r < end; ++r) {
    const float2 moments = make_float2(args.moments(r, 0), args.moments(r, 1));
    shares.take(0, P::load(args.dy, r, c), normed_of(P::load(args.x, r, c), moments));
  }
  gpu::store_pack(shares.of[0].packs[0], &sums(part, 0, c));
  gpu::store_pack(shares.of[1].packs[0], &sums(part, 1, c));
}

// Rows that a block adds up.
int64_t rows_of_stretch(int64_t rows, int64_t channels) {
  return gpu::rows_of_block(rows, channels, kRowNormCudaRows);
}

int64_t stretches(int64_t rows, int64_t channels) {
  const int64_t stretch = rows_of_stretch(rows, channels);
  return (rows + stretch - 1) / stretch;
}

template <typename T, typename Y>
void launch(const RowNormCudaGradArgs<T, Y>& args, const View<float, 3>& sums,
            cudaStream_t stream) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1), parts = sums.extent(0);
  const int64_t stretch = rows_of_stretch(rows, channels);
  const auto with = [&]<typename P>(P) {
    const int threads = gpu::BlockOfRow::threads(channels);
    const unsigned blocks = gpu::blocks_for(parts, 1, kWhere);
    if constexpr (!P::kKeeps) {
      const int64_t tiles = (channels + threads * P::kPack - 1) / (threads * P::kPack);
      row_norm_dx_kernel<P><<<gpu::blocks_for(rows, 1, kWhere), threads, 0, stream>>>(args);
      row_norm_sums_kernel<P>
          <<<gpu::blocks_for(parts * tiles, 1, kWhere), threads, 0, stream>>>(args, sums, stretch);
    } else {
      const int bytes = OperandsOf<P, T, Y>::shared_bytes(args, threads);
      const auto kernel =
          args.db.absent() ? row_norm_grad_kernel<P, 1, T, Y> : row_norm_grad_kernel<P, 2, T, Y>;
      gpu::require_device(
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), kWhere);
      kernel<<<blocks, threads, bytes, stream>>>(args, sums, stretch);
    }
  };
  gpu::with_block_rows(channels, with, args.x, args.w, args.dy, args.dx, args.dsum, args.dbranch);
}

}  // namespace

size_t row_norm_cuda_backward_workspace_bytes(int64_t rows, int64_t channels) {
  return gpu::DeviceScratch::bytes(stretches(rows, channels) * 2 * channels);
}

template <typename T, typename Y>
void row_norm_cuda_backward(const RowNormCudaGradArgs<T, Y>& args, std::span<std::byte> workspace,
                            cudaStream_t stream) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  check_row_norm_gradient(kWhere, args);
  if (!args.dsum.absent()) require_shape(kWhere, "dsum", args.dsum, args.x.extents());
  if (!args.dbranch.absent()) require_shape(kWhere, "dbranch", args.dbranch, args.x.extents());
  require(workspace.size() >= row_norm_cuda_backward_workspace_bytes(rows, channels), kWhere,
          "the workspace is too small");
  gpu::DeviceScratch scratch(workspace.data());
  const int64_t parts = stretches(rows, channels);
  const View<float, 3> sums(scratch.take(parts * 2 * channels), {parts, 2, channels});
  if (args.x.size() > 0) {
    launch(args, sums, stream);
    gpu::require_device(cudaGetLastError(), kWhere);
  }
  const auto row = [channels](const View<float, 1>& x) {
    return View<float, 2>(x.data(), {1, channels}, {0, x.stride(0)});
  };
  gpu::sum_rows(sums.slice(1, 0, 1), row(args.dw), stream);
  if (!args.db.absent()) gpu::sum_rows(sums.slice(1, 1, 1), row(args.db), stream);
}

template void row_norm_cuda_backward(const RowNormCudaGradArgs<float>&, std::span<std::byte>,
                                     cudaStream_t);
template void row_norm_cuda_backward(const RowNormCudaGradArgs<__half>&, std::span<std::byte>,
                                     cudaStream_t);
template void row_norm_cuda_backward(const RowNormCudaGradArgs<__nv_bfloat16>&,
                                     std::span<std::byte>, cudaStream_t);
template void row_norm_cuda_backward(const RowNormCudaGradArgs<float, __nv_bfloat16>&,
                                     std::span<std::byte>, cudaStream_t);

}  // namespace longwave::ops
