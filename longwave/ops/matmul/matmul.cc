// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/matmul/matmul.h"

#include <limits>
#include <string>

#include "longwave/base/error.h"
#include "longwave/ops/matmul/matmul_kernels.h"
#include "longwave/ops/quant/quant.h"

namespace longwave::ops {
namespace {

std::string text(int64_t rows, int64_t columns) {
  return "(" + std::to_string(rows) + ", " + std::to_string(columns) + ")";
}

int64_t outputs_of(const Matrix& W) { return W.rows; }
int64_t outputs_of(const View<const double, 2>& W) { return W.extent(0); }
int64_t inputs_of(const Matrix& W) { return W.columns; }
int64_t inputs_of(const View<const double, 2>& W) { return W.extent(1); }

template <typename T>
void check(const MatmulArgs<T>& args) {
  const int64_t outputs = outputs_of(args.W), inputs = inputs_of(args.W);
  const bool agree = args.x.extent(1) == inputs && args.y.extent(0) == args.x.extent(0) &&
                     args.y.extent(1) == outputs &&
                     (args.b.absent() || args.b.extent(0) == outputs);
  if (agree) return;
  throw InvalidArgument({.where = "matmul",
                         .what = "shapes must be x (rows, in), W (out, in), b (out), y (rows, out)",
                         .got = "x " + text(args.x.extent(0), args.x.extent(1)) + ", W " +
                                text(outputs, inputs) + ", y " +
                                text(args.y.extent(0), args.y.extent(1)),
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

bool dense_rows(const Matrix& W) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  return W.rows <= kMost && W.columns <= kMost &&
         W.row_bytes <= static_cast<size_t>(kMost) * sizeof(float) &&
         (W.rows <= 1 || W.row_bytes >= bytes_of(W.dtype, W.columns));
}

/// What is left over below the panels lies as rows.
void matmul_panels(const MatmulArgs<float>& args) {
  const int64_t in_panels = args.W.rows / kPanelRows * kPanelRows;
  const int64_t left = args.W.rows - in_panels;
  matmul_panels_cpu(args);
  if (left == 0) return;
  MatmulArgs<float> rest = args;
  rest.W = args.W.slice(in_panels, left);
  rest.W.layout = Layout::kRows;
  if (!args.b.absent()) rest.b = args.b.slice(0, in_panels, left);
  rest.y = args.y.slice(1, in_panels, left);
  matmul_blocks_cpu(rest);
}

}  // namespace

void matmul(const MatmulArgs<float>& args) {
  check(args);
  require(is_weight_type(args.W.dtype), "matmul", "weights cannot be of this type");
  if (args.y.size() == 0) return;
  if (args.x.extent(1) == 0 || !dense_rows(args.x) || !dense_rows(args.W) || !dense_rows(args.y)) {
    matmul_ref(args);
  } else if (args.W.layout == Layout::kPanels) {
    matmul_panels(args);
  } else if (is_blocked(args.W.dtype)) {
    matmul_blocks_cpu(args);
  } else if (args.x.extent(0) > kMatmulFewRows) {
    matmul_many_rows_cpu(args);
  } else {
    matmul_few_rows_cpu(args);
  }
}

void matmul(const MatmulArgs<double>& args) {
  check(args);
  matmul_ref(args);
}

}  // namespace longwave::ops
