// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include "longwave/ops/norm/norm_check.h"
#include "longwave/ops/norm/norm_rows_cuda.cuh"

namespace longwave::ops {
namespace {

constexpr const char* kWhere = "row_norm_cuda";

template <typename Pack>
__device__ Pack sum_of(Pack x, const Pack& branch) {
#pragma unroll
  for (int k = 0; k < sizeof(x.v) / sizeof(float); ++k) x.v[k] += branch.v[k];
  return x;
}

template <typename P, typename T, typename Y>
__global__ void __launch_bounds__(P::Team::kThreads)
    row_norm_kernel(const __grid_constant__ RowNormCudaArgs<T, Y> args) {
  using Team = typename P::Team;
  const int64_t r = int64_t{blockIdx.x} * Team::kRows + Team::row(), channels = args.x.extent(1);
  if (r >= args.x.extent(0)) return;
  typename P::Row row{};
  const auto at = [&](int i, int64_t c) {
    if constexpr (P::kKeeps) return row.packs[i];
    const typename P::Pack x = P::load(args.x, r, c);
    return args.branch.absent() ? x : sum_of(x, P::load(args.branch, r, c));
  };
  typename Team::template Sum<1> of_row;
  const auto total = [&](const auto& term) {
    float sum[1] = {0.0f};
    P::over_row(channels, [&](int i, int64_t c) {
      const typename P::Pack x = at(i, c);
#pragma unroll
      for (int k = 0; k < P::kPack; ++k) sum[0] = term(sum[0], x.v[k]);
    });
    of_row.add(sum);
    return sum[0] / static_cast<float>(channels);
  };
  // All are asked for before any is used.
  typename P::Row weights{};
  if constexpr (P::kKeeps) {
    P::over_row(channels, [&](int i, int64_t c) { row.packs[i] = P::load(args.x, r, c); });
    P::over_row(channels, [&](int i, int64_t c) { weights.packs[i] = P::load(args.w, c); });
    if (!args.branch.absent()) {
      P::over_row(channels, [&](int i, int64_t c) {
        row.packs[i] = sum_of(row.packs[i], P::load(args.branch, r, c));
      });
    }
  }
  const float mean =
      args.kind == RowNorm::kRms ? 0.0f : total([](float sum, float x) { return sum + x; });
  const float square = total([mean](float sum, float x) { return fmaf(x - mean, x - mean, sum); });
  const float inverse = 1.0f / sqrtf(square + args.epsilon);
  P::over_row(channels, [&](int i, int64_t c) {
    const typename P::Pack x = at(i, c), w = P::kKeeps ? weights.packs[i] : P::load(args.w, c);
    typename P::Pack b{}, y;
    if (!args.b.absent()) b = P::load(args.b, c);
#pragma unroll
    for (int k = 0; k < P::kPack; ++k) y.v[k] = fmaf((x.v[k] - mean) * inverse, w.v[k], b.v[k]);
    if (!args.branch.absent()) gpu::store_pack(x, P::at(args.sum, r, c));
    gpu::store_pack(y, P::at(args.y, r, c));
  });
  if (args.moments.absent() || Team::rank() != 0) return;
  args.moments(r, 0) = mean;
  args.moments(r, 1) = inverse;
}

template <typename T, typename Y>
void launch(const RowNormCudaArgs<T, Y>& args, cudaStream_t stream) {
  const auto with = [&]<typename P>(P) {
    using Team = typename P::Team;
    const unsigned blocks = gpu::blocks_for(args.x.extent(0), Team::kRows, kWhere);
    row_norm_kernel<P><<<blocks, Team::threads(args.x.extent(1)), 0, stream>>>(args);
  };
  gpu::with_norm_rows(args.x.extent(1), with, args.x, args.w, args.b, args.y, args.branch,
                      args.sum);
}

}  // namespace

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

template void row_norm_cuda(const RowNormCudaArgs<float>&, cudaStream_t);
template void row_norm_cuda(const RowNormCudaArgs<__half>&, cudaStream_t);
template void row_norm_cuda(const RowNormCudaArgs<__nv_bfloat16>&, cudaStream_t);
template void row_norm_cuda(const RowNormCudaArgs<float, __nv_bfloat16>&, cudaStream_t);

}  // namespace longwave::ops
