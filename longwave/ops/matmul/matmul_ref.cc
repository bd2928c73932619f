// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/matmul/matmul_kernels.h"

namespace longwave::ops {

template <typename T>
void matmul_ref(const MatmulArgs<T>& args) {
  for (int64_t r = 0; r < args.y.extent(0); ++r) {
    for (int64_t o = 0; o < args.y.extent(1); ++o) {
      T sum = args.b.absent() ? T(0) : args.b(o);
      if (args.accumulate == Accumulate::kAdd) sum += args.y(r, o);
      for (int64_t i = 0; i < args.x.extent(1); ++i) sum += args.x(r, i) * args.W(o, i);
      args.y(r, o) = sum;
    }
  }
}

template void matmul_ref(const MatmulArgs<float>& args);
template void matmul_ref(const MatmulArgs<double>& args);

}  // namespace longwave::ops
