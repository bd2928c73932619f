// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/matmul/matmul.h"

#include <limits>
#include <string>

#include "longwave/base/error.h"
#include "longwave/ops/matmul/matmul_kernels.h"

namespace longwave::ops {
namespace {

template <typename T>
std::string shape_of(const View<T, 2>& view) {
  return "(" + std::to_string(view.extent(0)) + ", " + std::to_string(view.extent(1)) + ")";
}

template <typename T>
void check(const MatmulArgs<T>& args) {
  const bool agree = args.x.extent(1) == args.W.extent(1) && args.y.extent(0) == args.x.extent(0) &&
                     args.y.extent(1) == args.W.extent(0) &&
                     (args.b.absent() || args.b.extent(0) == args.W.extent(0));
  if (agree) return;
  throw InvalidArgument(
      {.where = "matmul",
       .what = "shapes must be x (rows, in), W (out, in), b (out), y (rows, out)",
       .got = "x " + shape_of(args.x) + ", W " + shape_of(args.W) + ", y " + shape_of(args.y),
       .fix = {}});
}

/// BLAS wants adjacent elements in a row and extents and row strides of 32 bits.
template <typename T>
bool dense_rows(const View<T, 2>& view) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const bool adjacent = view.extent(1) <= 1 || view.stride(1) == 1;
  const bool ordered = view.extent(0) <= 1 || view.stride(0) >= view.extent(1);
  return adjacent && ordered && view.extent(0) <= kMost && view.extent(1) <= kMost &&
         view.stride(0) <= kMost;
}

}  // namespace

void matmul(const MatmulArgs<float>& args) {
  check(args);
  if (args.y.size() == 0) return;
  if (args.x.extent(1) == 0 || !dense_rows(args.x) || !dense_rows(args.W) || !dense_rows(args.y)) {
    matmul_ref(args);
  } else if (args.x.extent(0) <= kMatmulFewRows) {
    matmul_few_rows_cpu(args);
  } else {
    matmul_many_rows_cpu(args);
  }
}

void matmul(const MatmulArgs<double>& args) {
  check(args);
  matmul_ref(args);
}

}  // namespace longwave::ops
