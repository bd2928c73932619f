// SPDX-License-Identifier: Apache-2.0
#include <cblas.h>

#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/matmul/matmul_kernels.h"

namespace longwave::ops {
namespace {

/// Rows of one call: fixed, so that how a row is summed depends on the shape alone.
constexpr int64_t kBlockRows = 128;

/// A stride that BLAS accepts: that of a single row is meaningless and may be anything.
template <typename T>
blasint leading(const View<T, 2>& view) {
  const int64_t least = std::max<int64_t>(view.extent(1), 1);
  return static_cast<blasint>(view.extent(0) <= 1 ? least : view.stride(0));
}

void preset(const MatmulArgs<float>& args) {
  if (args.b.absent()) return;
  const bool add = args.accumulate == Accumulate::kAdd;
  for (int64_t r = 0; r < args.y.extent(0); ++r) {
    float* row = &args.y(r, 0);
    for (int64_t o = 0; o < args.y.extent(1); ++o) row[o] = args.b(o) + (add ? row[o] : 0.0f);
  }
}

void product(const MatmulArgs<float>& args) {
  preset(args);
  const bool keeps = args.accumulate == Accumulate::kAdd || !args.b.absent();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<blasint>(args.y.extent(0)),
              static_cast<blasint>(args.y.extent(1)), static_cast<blasint>(args.x.extent(1)), 1.0f,
              args.x.data(), leading(args.x), args.W.data(), leading(args.W), keeps ? 1.0f : 0.0f,
              args.y.data(), leading(args.y));
}

}  // namespace

void matmul_many_rows_cpu(const MatmulArgs<float>& args) {
  const int64_t rows = args.x.extent(0);
  parallel_for((rows + kBlockRows - 1) / kBlockRows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kBlockRows;
      const int64_t count = std::min(kBlockRows, rows - first);
      MatmulArgs<float> part = args;
      part.x = args.x.slice(0, first, count);
      part.y = args.y.slice(0, first, count);
      product(part);
    }
  });
}

}  // namespace longwave::ops
