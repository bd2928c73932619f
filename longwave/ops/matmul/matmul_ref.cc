// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/matmul/matmul_kernels.h"
#include "longwave/ops/quant/quant.h"

namespace longwave::ops {
namespace {

float weight(const Matrix& W, int64_t o, int64_t i) {
  return static_cast<float>(dequantize_ref(W, o, i));
}

double weight(const View<const double, 2>& W, int64_t o, int64_t i) { return W(o, i); }

}  // namespace

template <typename T>
void matmul_ref(const MatmulArgs<T>& args) {
  for (int64_t r = 0; r < args.y.extent(0); ++r) {
    for (int64_t o = 0; o < args.y.extent(1); ++o) {
      T sum = args.b.absent() ? T(0) : args.b(o);
      if (args.accumulate == Accumulate::kAdd) sum += args.y(r, o);
      for (int64_t i = 0; i < args.x.extent(1); ++i) sum += args.x(r, i) * weight(args.W, o, i);
      args.y(r, o) = sum;
    }
  }
}

template void matmul_ref(const MatmulArgs<float>& args);
template void matmul_ref(const MatmulArgs<double>& args);

}  // namespace longwave::ops
