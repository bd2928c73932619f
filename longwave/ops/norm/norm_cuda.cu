// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/cuda/pack_cuda.cuh"
#include "longwave/ops/cuda/sum_rows_cuda.h"
#include "longwave/ops/norm/norm_check.h"
#include "longwave/ops/norm/norm_cuda.h"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "row_norm_cuda";
constexpr const char* kGradWhere = "row_norm_cuda_backward";
constexpr int kThreads = 128;
constexpr int kWarp = 32, kWarps = kThreads / kWarp;
constexpr int kWide = 4;  // channels of a pack

// How a warp goes over a row: in packs of kCount channels, of which a lane keeps kHeld in
// registers, or none, for rows of any length, which it then reads again.
template <int kCount, int kHeld>
struct Plan {
  static constexpr int kPack = kCount;
  static constexpr int kKept = kHeld;
  static constexpr bool kKeeps = kKept > 0;
  using Pack = gpu::Pack<kCount>;
  struct Row {
    Pack packs[kKeeps ? kHeld : 1];
  };

  /// body(pack's place in a Row, its first channel)
  template <typename Body>
  __device__ static void over_row(int64_t channels, const Body& body) {
    const int lane = threadIdx.x % kWarp;
    if constexpr (kKeeps) {
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        const int c = (i * kWarp + lane) * kCount;
        if (c < channels) body(i, c);
      }
    } else {
      for (int64_t c = lane * kCount; c < channels; c += kWarp * kCount) body(0, c);
    }
  }

  template <typename T>
  __device__ static Pack load(const View<const T, 2>& x, int64_t r, int64_t c) {
    return gpu::load_pack<kCount>(&x(r, c));
  }
  template <typename T>
  __device__ static Pack load(const View<const T, 1>& x, int64_t c) {
    if constexpr (kCount == 1) return {gpu::widen(x(c))};
    return gpu::load_pack<kCount>(&x(c));
  }
};

template <typename P, typename T, typename Y>
__device__ typename P::Pack sum_of(const RowNormCudaArgs<T, Y>& args, int64_t r, int64_t c) {
  typename P::Pack x = P::load(args.x, r, c);
  if (args.branch.absent()) return x;
  const typename P::Pack branch = P::load(args.branch, r, c);
#pragma unroll
  for (int k = 0; k < P::kPack; ++k) x.v[k] += branch.v[k];
  return x;
}

template <typename P, typename T, typename Y>
__global__ void __launch_bounds__(kThreads)
    row_norm_kernel(const __grid_constant__ RowNormCudaArgs<T, Y> args) {
  const int64_t r = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp, channels = args.x.extent(1);
  if (r >= args.x.extent(0)) return;
  typename P::Row row{};
  const auto at = [&](int i, int64_t c) {
    return P::kKeeps ? row.packs[i] : sum_of<P>(args, r, c);
  };
  const auto total = [&](const auto& term) {
    float sum = 0.0f;
    P::over_row(channels, [&](int i, int64_t c) {
      const typename P::Pack x = at(i, c);
#pragma unroll
      for (int k = 0; k < P::kPack; ++k) sum = term(sum, x.v[k]);
    });
    return gpu::add_over_warp(sum) / static_cast<float>(channels);
  };
  if constexpr (P::kKeeps) {
    P::over_row(channels, [&](int i, int64_t c) { row.packs[i] = sum_of<P>(args, r, c); });
  }
  const float mean =
      args.kind == RowNorm::kRms ? 0.0f : total([](float sum, float x) { return sum + x; });
  const float square = total([mean](float sum, float x) { return fmaf(x - mean, x - mean, sum); });
  const float inverse = 1.0f / sqrtf(square + args.epsilon);
  P::over_row(channels, [&](int i, int64_t c) {
    const typename P::Pack x = at(i, c), w = P::load(args.w, c);
    typename P::Pack b{}, y;
    if (!args.b.absent()) b = P::load(args.b, c);
#pragma unroll
    for (int k = 0; k < P::kPack; ++k) y.v[k] = fmaf((x.v[k] - mean) * inverse, w.v[k], b.v[k]);
    if (!args.branch.absent()) gpu::store_pack(x, &args.sum(r, c));
    gpu::store_pack(y, &args.y(r, c));
  });
  if (args.moments.absent() || threadIdx.x % kWarp != 0) return;
  args.moments(r, 0) = mean;
  args.moments(r, 1) = inverse;
}

// A row of the gradient, by a warp: writes dx and dbranch; takes(place, channel, dy, xhat) sees
// every pack once.
template <typename P, typename T, typename Y, typename Takes>
__device__ void row_gradient(const RowNormCudaGradArgs<T, Y>& args, int64_t r, const Takes& takes) {
  using Pack = typename P::Pack;
  const int64_t channels = args.x.extent(1);
  const float mean = args.moments(r, 0), inverse = args.moments(r, 1);
  typename P::Row slopes, normed;  // g = dy w, and xhat
  const auto read = [&](int64_t c, Pack& slope, Pack& xhat, const auto& see) {
    const Pack dy = P::load(args.dy, r, c), w = P::load(args.w, c);
    xhat = P::load(args.x, r, c);
#pragma unroll
    for (int k = 0; k < P::kPack; ++k) {
      xhat.v[k] = (xhat.v[k] - mean) * inverse;
      slope.v[k] = dy.v[k] * w.v[k];
    }
    see(dy);
  };
  float sum = 0.0f, product = 0.0f;
  P::over_row(channels, [&](int i, int64_t c) {
    read(c, slopes.packs[i], normed.packs[i],
         [&](const Pack& dy) { takes(i, c, dy, normed.packs[i]); });
#pragma unroll
    for (int k = 0; k < P::kPack; ++k) {
      sum += slopes.packs[i].v[k];
      product = fmaf(slopes.packs[i].v[k], normed.packs[i].v[k], product);
    }
  });
  const float count = static_cast<float>(channels);
  sum = args.kind == RowNorm::kRms ? 0.0f : gpu::add_over_warp(sum) / count;
  product = gpu::add_over_warp(product) / count;
  P::over_row(channels, [&](int i, int64_t c) {
    if constexpr (!P::kKeeps) read(c, slopes.packs[i], normed.packs[i], [](const Pack&) {});
    Pack dx{};
    if (!args.dsum.absent()) dx = P::load(args.dsum, r, c);
#pragma unroll
    for (int k = 0; k < P::kPack; ++k) {
      dx.v[k] += inverse * (slopes.packs[i].v[k] - fmaf(normed.packs[i].v[k], product, sum));
    }
    gpu::store_pack(dx, &args.dx(r, c));
    if (!args.dbranch.absent()) gpu::store_pack(dx, &args.dbranch(r, c));
  });
}

// A block's stretch of rows; sums (stretches, 2, channels) of dw and, if there are two, db.
template <typename P, int kSums, typename T, typename Y>
__global__ void __launch_bounds__(kThreads)
    row_norm_grad_kernel(const __grid_constant__ RowNormCudaGradArgs<T, Y> args,
                         const __grid_constant__ View<float, 3> sums) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t begin = blockIdx.x * kRowNormCudaRows, end = min(begin + kRowNormCudaRows, rows);
  const int warp = threadIdx.x / kWarp;
  typename P::Row shares[kSums]{};
  for (int64_t r = begin + warp; r < end; r += kWarps) {
    row_gradient<P>(args, r, [&](int i, int64_t, const auto& dy, const auto& xhat) {
#pragma unroll
      for (int k = 0; k < P::kPack; ++k) {
        shares[0].packs[i].v[k] = fmaf(dy.v[k], xhat.v[k], shares[0].packs[i].v[k]);
        if (kSums == 2) shares[kSums - 1].packs[i].v[k] += dy.v[k];
      }
    });
  }
  // The warps add theirs one after the other.
  __shared__ float of_block[kSums][P::kKept * P::kPack * kWarp];
  for (int turn = 0; turn < kWarps; ++turn) {
    if (turn == warp) {
      P::over_row(channels, [&](int i, int64_t c) {
#pragma unroll
        for (int which = 0; which < kSums; ++which) {
#pragma unroll
          for (int k = 0; k < P::kPack; ++k) {
            float& sum = of_block[which][c + k];
            sum = shares[which].packs[i].v[k] + (turn == 0 ? 0.0f : sum);
          }
        }
      });
    }
    __syncthreads();
  }
#pragma unroll
  for (int which = 0; which < kSums; ++which) {
    for (int64_t c = threadIdx.x; c < channels; c += kThreads) {
      sums(blockIdx.x, which, c) = of_block[which][c];
    }
  }
}

// The same for rows of any length: sums pass through memory from row to row.
template <typename T, typename Y>
__global__ void __launch_bounds__(kThreads)
    row_norm_grad_any_kernel(const __grid_constant__ RowNormCudaGradArgs<T, Y> args,
                             const __grid_constant__ View<float, 3> sums) {
  const int64_t rows = args.x.extent(0);
  const int64_t begin = (int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp) * kRowNormCudaRows;
  for (int64_t r = begin; r < min(begin + kRowNormCudaRows, rows); ++r) {
    row_gradient<Plan<1, 0>>(args, r, [&](int, int64_t c, const auto& dy, const auto& xhat) {
      float& dw = sums(begin / kRowNormCudaRows, 0, c);
      float& db = sums(begin / kRowNormCudaRows, 1, c);
      dw = fmaf(dy.v[0], xhat.v[0], r == begin ? 0.0f : dw);
      db = dy.v[0] + (r == begin ? 0.0f : db);
    });
  }
}

// Calls body(plan) with how rows of these operands are gone over.
template <typename Body, typename... Views>
void with_plan(int64_t channels, const Body& body, const Views&... views) {
  const auto packed = [channels](const auto& x, int64_t bytes) {
    return x.absent() || gpu::in_pieces(x, channels, bytes);
  };
  const bool wide = (packed(views, kWide * sizeof(*views.data())) && ...);
  if (wide && channels <= kRowNormCudaHeld / 2) return body(Plan<kWide, 6>());
  if (wide && channels <= kRowNormCudaHeld) return body(Plan<kWide, 12>());
  body(Plan<1, 0>());
}

int64_t stretches(int64_t rows) { return (rows + kRowNormCudaRows - 1) / kRowNormCudaRows; }

template <typename T, typename Y>
void launch(const RowNormCudaArgs<T, Y>& args, cudaStream_t stream) {
  const unsigned blocks = gpu::blocks_for(args.x.extent(0), kWarps, kWhere);
  with_plan(
      args.x.extent(1),
      [&]<typename P>(P) { row_norm_kernel<P><<<blocks, kThreads, 0, stream>>>(args); }, args.x,
      args.w, args.b, args.y, args.branch, args.sum);
}

template <typename T, typename Y>
void launch(const RowNormCudaGradArgs<T, Y>& args, const View<float, 3>& sums,
            cudaStream_t stream) {
  const int64_t count = stretches(args.x.extent(0));
  const unsigned blocks = gpu::blocks_for(count, 1, kGradWhere);
  const auto with = [&]<typename P>(P) {
    if constexpr (!P::kKeeps) {
      const unsigned any = gpu::blocks_for(count, kWarps, kGradWhere);
      row_norm_grad_any_kernel<<<any, kThreads, 0, stream>>>(args, sums);
    } else if (args.db.absent()) {
      row_norm_grad_kernel<P, 1><<<blocks, kThreads, 0, stream>>>(args, sums);
    } else {
      row_norm_grad_kernel<P, 2><<<blocks, kThreads, 0, stream>>>(args, sums);
    }
  };
  with_plan(args.x.extent(1), with, args.x, args.w, args.dy, args.dx, args.dsum, args.dbranch);
}

}  // namespace

size_t row_norm_cuda_backward_workspace_bytes(int64_t rows, int64_t channels) {
  return gpu::DeviceScratch::bytes(stretches(rows) * 2 * channels);
}

template <typename T, typename Y>
void row_norm_cuda(const RowNormCudaArgs<T, Y>& args, cudaStream_t stream) {
  check_row_norm(kWhere, args);
  require(args.branch.absent() == args.sum.absent(), kWhere,
          "sum must be there if and only if branch is");
  if (!args.branch.absent()) {
    require_shape(kWhere, "branch", args.branch, args.x.extents());
    require_shape(kWhere, "sum", args.sum, args.x.extents());
  }
  if (args.x.extent(0) == 0) return;
  launch(args, stream);
  gpu::require_device(cudaGetLastError(), kWhere);
}

template <typename T, typename Y>
void row_norm_cuda_backward(const RowNormCudaGradArgs<T, Y>& args, std::span<std::byte> workspace,
                            cudaStream_t stream) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  check_row_norm_gradient(kGradWhere, args);
  if (!args.dsum.absent()) require_shape(kGradWhere, "dsum", args.dsum, args.x.extents());
  if (!args.dbranch.absent()) {
    require_shape(kGradWhere, "dbranch", args.dbranch, args.x.extents());
  }
  require(workspace.size() >= row_norm_cuda_backward_workspace_bytes(rows, channels), kGradWhere,
          "the workspace is too small");
  gpu::DeviceScratch scratch(workspace.data());
  const View<float, 3> sums(scratch.take(stretches(rows) * 2 * channels),
                            {stretches(rows), 2, channels});
  if (args.x.size() > 0) {
    launch(args, sums, stream);
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
