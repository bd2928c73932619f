// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/cuda/rows_ahead_cuda.cuh"
#include "longwave/ops/cuda/sum_rows_cuda.h"
#include "longwave/ops/gated_norm/gated_norm_check.h"
#include "longwave/ops/gated_norm/gated_norm_gate_cuda.cuh"

namespace longwave::ops {
namespace {

using gpu::Gate;
using gpu::GroupOfWarp;
using gpu::Pack;

constexpr const char* kWhere = "gated_norm_cuda_backward";

// What x, z and dy of a row say of an element.
template <int kPack>
struct Operands {
  Pack<kPack> x, z, dy;

  Operands() = default;
  template <typename T>
  __device__ Operands(const GatedNormCudaGradArgs<T>& args, int64_t r, int64_t c)
      : x(gpu::pack_of<kPack>(args.x, r, c)),
        z(gpu::pack_of_gate<kPack>(args.z, r, c)),
        dy(gpu::pack_of<kPack>(args.dy, r, c)) {}
};

// What the gradient of an element needs besides sums.
template <int kPack>
struct Slopes {
  Pack<kPack> x, through;  // dy w
  Gate<kPack> gate;

  Slopes() = default;
  template <typename T>
  __device__ Slopes(const GatedNormCudaGradArgs<T>& args, const Operands<kPack>& of, int64_t c)
      : x(of.x), through(gpu::pack_of<kPack>(args.w, c)), gate(of.z, !args.z.absent()) {
#pragma unroll
    for (int k = 0; k < kPack; ++k) through.v[k] *= of.dy.v[k];
  }

  // g u of the contract.
  __device__ float product(int k, float inverse) const {
    return through.v[k] * gate.value.v[k] * x.v[k] * inverse;
  }

  template <typename T>
  __device__ void store(const GatedNormCudaGradArgs<T>& args, int64_t r, int64_t c, float inverse,
                        float product) const {
    const bool before = args.order == GateOrder::kBefore;
    Pack<kPack> dx, dz;
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float silu = gate.value.v[k];
      // What is normalised is x times this, and the result is multiplied by the other.
      const float inner = before ? silu : 1.0f, outer = before ? 1.0f : silu;
      const float u = x.v[k] * inner * inverse;
      const float dv = inverse * fmaf(-u, product, through.v[k] * outer);
      dx.v[k] = dv * inner;
      dz.v[k] = (before ? dv * x.v[k] : through.v[k] * u) * gate.slope.v[k];
    }
    gpu::store_pack(dx, gpu::pack_at<kPack>(args.dx, r, c));
    if (!args.dz.absent()) gpu::store_pack(dz, gpu::pack_at<kPack>(args.dz, r, c));
  }
};

// dw and a row's share of it.
template <int kPack>
__device__ void take(const Operands<kPack>& of, const Gate<kPack>& gate, float inverse,
                     Pack<kPack>& dw) {
#pragma unroll
  for (int k = 0; k < kPack; ++k) dw.v[k] += of.dy.v[k] * gate.value.v[k] * of.x.v[k] * inverse;
}

// Rows of a group on their way to a block.
template <typename T>
class OperandsAhead {
 public:
  static constexpr int kPack = gpu::kGatedNormPack;

  static int shared_bytes(const GatedNormCudaGradArgs<T>& args, int threads) {
    return (args.z.absent() ? 2 : 3) * gpu::RowAhead<T, kPack>::bytes(threads);
  }

  __device__ OperandsAhead(const GatedNormCudaGradArgs<T>& args, int64_t group, int64_t row)
      : OperandsAhead(args, group, shared_memory()) {
    fetch(row);
  }

  // The inverse of the row that was asked for last, whose packs are there from now on.
  __device__ float begin() {
    gpu::await_copies<0>();
    return inverse_;
  }

  __device__ Operands<kPack> take(int place) const {
    Operands<kPack> of;
    of.x = x_.take(place);
    of.dy = dy_.take(place);
    of.z = args_.z.absent() ? Pack<kPack>{} : z_.take(place);
    return of;
  }

  __device__ void fetch(int64_t row) {
    const int64_t size = args_.x.extent(1) / args_.inverse.extent(1), first = group_ * size;
    inverse_ = args_.inverse(row, group_);
    x_.fetch(gpu::pack_at<kPack>(args_.x, row, first), size);
    dy_.fetch(gpu::pack_at<kPack>(args_.dy, row, first), size);
    if (!args_.z.absent()) z_.fetch(gpu::pack_at<kPack>(args_.z, row, first), size);
    gpu::close_copies();
  }

 private:
  __device__ static std::byte* shared_memory() {
    extern __shared__ __align__(16) std::byte shared[];
    return shared;
  }
  __device__ OperandsAhead(const GatedNormCudaGradArgs<T>& args, int64_t group, std::byte* shared)
      : args_(args), group_(group), x_(shared), dy_(shared), z_(shared) {}

  const GatedNormCudaGradArgs<T>& args_;
  int64_t group_;
  gpu::RowAhead<T, kPack> x_, dy_, z_;
  float inverse_;
};

// A block's stretch of rows of a group, which it keeps in registers; sums (stretches, 1, channels)
// of dw.
template <typename T>
__global__ void __launch_bounds__(gpu::kBlockRowThreads)
    gated_norm_grad_block_kernel(const __grid_constant__ GatedNormCudaGradArgs<T> args,
                                 const __grid_constant__ View<float, 3> sums, int64_t stretch) {
  constexpr int kPack = gpu::kGatedNormPack, kKept = gpu::kBlockRowShare / kPack;
  const int64_t groups = args.inverse.extent(1), size = args.x.extent(1) / groups;
  const int64_t part = blockIdx.x / groups, group = blockIdx.x % groups, first = group * size;
  const int64_t begin = part * stretch, end = min(begin + stretch, args.x.extent(0));
  Pack<kPack> dw[kKept]{};
  gpu::BlockSum<1> of_row;
  OperandsAhead<T> from(args, group, begin);
  for (int64_t r = begin; r < end; ++r) {
    const float inverse = from.begin();
    Slopes<kPack> slopes[kKept];
    float product[1]{};
    gpu::over_block_row<kPack>(size, [&](int i, int64_t c) {
      const Operands<kPack> of = from.take(i);
      slopes[i] = Slopes<kPack>(args, of, first + c);
      take(of, slopes[i].gate, inverse, dw[i]);
#pragma unroll
      for (int k = 0; k < kPack; ++k) product[0] += slopes[i].product(k, inverse);
    });
    if (r + 1 < end) from.fetch(r + 1);
    of_row.add(product);
    gpu::over_block_row<kPack>(size, [&](int i, int64_t c) {
      slopes[i].store(args, r, first + c, inverse, product[0] / static_cast<float>(size));
    });
  }
  gpu::over_block_row<kPack>(
      size, [&](int i, int64_t c) { gpu::store_pack(dw[i], &sums(part, 0, first + c)); });
}

// Groups that no block keeps, or not in packs, take two kernels: dx and dz of a warp's group of a
// row,
template <typename T, int kPack>
__global__ void __launch_bounds__(GroupOfWarp::kThreads)
    gated_norm_grad_kernel(const __grid_constant__ GatedNormCudaGradArgs<T> args) {
  const int64_t channels = args.x.extent(1), groups = args.inverse.extent(1);
  const GroupOfWarp at(args.x.extent(0), channels, groups, kPack);
  if (!at.exists) return;
  const float inverse = args.inverse(at.row, at.group);
  const auto slopes = [&](int64_t c) {
    return Slopes<kPack>(args, Operands<kPack>(args, at.row, c), c);
  };
  float product = 0.0f;
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += 32 * kPack) {
    const Slopes<kPack> of = slopes(c);
#pragma unroll
    for (int k = 0; k < kPack; ++k) product += of.product(k, inverse);
  }
  product = gpu::add_over_warp(product) / static_cast<float>(channels / groups);
#pragma unroll 4
  for (int64_t c = at.first; c < at.end; c += 32 * kPack) {
    slopes(c).store(args, at.row, c, inverse, product);
  }
}

// and sums (stretches, 1, channels) of dw, of a thread's channels and stretch of rows.
template <typename T, int kPack>
__global__ void __launch_bounds__(GroupOfWarp::kThreads)
    gated_norm_sums_kernel(const __grid_constant__ GatedNormCudaGradArgs<T> args,
                           const __grid_constant__ View<float, 3> sums, int64_t stretch) {
  constexpr int kChannels = GroupOfWarp::kThreads * kPack;
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const int64_t tiles = (channels + kChannels - 1) / kChannels, part = blockIdx.x / tiles;
  const int64_t c = blockIdx.x % tiles * kChannels + threadIdx.x * kPack;
  if (c >= channels) return;
  const int64_t group = c / (channels / args.inverse.extent(1));
  const int64_t begin = part * stretch, end = min(begin + stretch, rows);
  Pack<kPack> dw{};
#pragma unroll 4
  for (int64_t r = begin; r < end; ++r) {
    const Operands<kPack> of(args, r, c);
    take(of, Gate<kPack>(of.z, !args.z.absent()), args.inverse(r, group), dw);
  }
  gpu::store_pack(dw, &sums(part, 0, c));
}

// Rows that a block adds up.
int64_t rows_of_stretch(int64_t rows, int64_t channels) {
  return gpu::rows_of_block(rows, channels, kGatedNormCudaRows);
}

int64_t stretches(int64_t rows, int64_t channels) {
  const int64_t stretch = rows_of_stretch(rows, channels);
  return (rows + stretch - 1) / stretch;
}

template <typename T>
void launch_blocks(const GatedNormCudaGradArgs<T>& args, const View<float, 3>& sums,
                   cudaStream_t stream) {
  const int64_t groups = args.inverse.extent(1), size = args.x.extent(1) / groups;
  const int threads = gpu::block_row_threads(size);
  const int bytes = OperandsAhead<T>::shared_bytes(args, threads);
  const auto kernel = gated_norm_grad_block_kernel<T>;
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), kWhere);
  const unsigned blocks = gpu::blocks_for(sums.extent(0) * groups, 1, kWhere);
  kernel<<<blocks, threads, bytes, stream>>>(args, sums,
                                             rows_of_stretch(args.x.extent(0), args.x.extent(1)));
}

template <typename T, int kPack>
void launch_warps(const GatedNormCudaGradArgs<T>& args, const View<float, 3>& sums,
                  cudaStream_t stream) {
  constexpr int kThreads = GroupOfWarp::kThreads;
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const unsigned blocks =
      gpu::blocks_for(rows * args.inverse.extent(1), GroupOfWarp::kGroups, kWhere);
  gated_norm_grad_kernel<T, kPack><<<blocks, kThreads, 0, stream>>>(args);
  const int64_t tiles = (channels + kThreads * kPack - 1) / (kThreads * kPack);
  const unsigned pieces = gpu::blocks_for(sums.extent(0) * tiles, 1, kWhere);
  gated_norm_sums_kernel<T, kPack>
      <<<pieces, kThreads, 0, stream>>>(args, sums, rows_of_stretch(rows, channels));
}

}  // namespace

size_t gated_norm_cuda_backward_workspace_bytes(int64_t rows, int64_t channels) {
  return gpu::DeviceScratch::bytes(stretches(rows, channels) * channels);
}

template <typename T>
void gated_norm_cuda_backward(const GatedNormCudaGradArgs<T>& args, std::span<std::byte> workspace,
                              cudaStream_t stream) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  check_gated_norm_gradient(kWhere, args);
  require(args.dz.absent() == args.z.absent(), kWhere, "dz must be there if and only if z is");
  require(workspace.size() >= gated_norm_cuda_backward_workspace_bytes(rows, channels), kWhere,
          "the workspace is too small");
  gpu::DeviceScratch scratch(workspace.data());
  const int64_t parts = stretches(rows, channels), group = channels / args.inverse.extent(1);
  const View<float, 3> sums(scratch.take(parts * channels), {parts, 1, channels});
  if (args.x.size() > 0) {
    const bool wide =
        gpu::in_wide_packs<T>(group, args.w, args.x, args.z, args.dy, args.dx, args.dz);
    if (wide && gpu::block_keeps_group(group)) {
      launch_blocks(args, sums, stream);
    } else if (wide) {
      launch_warps<T, gpu::kGatedNormPack>(args, sums, stream);
    } else {
      launch_warps<T, 1>(args, sums, stream);
    }
    gpu::require_device(cudaGetLastError(), kWhere);
  }
  const View<float, 2> dw(args.dw.data(), {1, channels}, {0, args.dw.stride(0)});
  gpu::sum_rows(sums, dw, stream);
}

template void gated_norm_cuda_backward(const GatedNormCudaGradArgs<float>&, std::span<std::byte>,
                                       cudaStream_t);
template void gated_norm_cuda_backward(const GatedNormCudaGradArgs<__half>&, std::span<std::byte>,
                                       cudaStream_t);
template void gated_norm_cuda_backward(const GatedNormCudaGradArgs<__nv_bfloat16>&,
                                       std::span<std::byte>, cudaStream_t);

}  // namespace longwave::ops
