// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/quant/quant.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/quant/block_layout.h"
#include "longwave/ops/quant/panels.h"
#include "longwave/ops/quant/quant_kernels.h"

namespace longwave::ops {
namespace {

void require_weight_type(DType dtype) {
  if (is_weight_type(dtype)) return;
  throw InvalidArgument({.where = "quantize",
                         .what = "weights cannot be of this type",
                         .got = std::string(name_of(dtype)),
                         .fix = "use float32, float16, bfloat16, q8_0, q4_0, q4_k or q6_k"});
}

[[noreturn]] void refuse_number(DType dtype, float number, int64_t index) {
  throw InvalidArgument({.where = "quantize",
                         .what = std::isfinite(number)
                                     ? "a number is too large for " + std::string(name_of(dtype))
                                     : "a number is not finite",
                         .got = std::to_string(number) + " at element " + std::to_string(index),
                         .fix = "check where the weights come from"});
}

/// A row that could not be stored: says which of its numbers is to blame.
[[noreturn]] void refuse_row(DType dtype, const float* x, int64_t count, int64_t first) {
  int64_t worst = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(x[i])) refuse_number(dtype, x[i], first + i);
    if (std::abs(x[i]) > std::abs(x[worst])) worst = i;
  }
  refuse_number(dtype, x[worst], first + worst);
}

/// Some blocks of a row at a time, brought together again.
void dequantize_panels(const DequantizeArgs& args) {
  constexpr int64_t kColumns = 1024;
  std::byte blocks[kColumns / 32 * sizeof(BlockQ8_0)];
  for (int64_t r = 0; r < args.y.extent(0); ++r) {
    float* y = args.y.data() + r * args.y.stride(0);
    for (int64_t column = 0; column < args.y.extent(1); column += kColumns) {
      const int64_t count = std::min(kColumns, args.y.extent(1) - column);
      copy_row_of_panels(args.W, args.row + r, args.column + column, count, blocks);
      dequantize_row_cpu(args.W.dtype, blocks, count, y + column);
    }
  }
}

/// Rows that make a piece of work worth a thread.
int64_t grain(int64_t columns) { return 1 + (1 << 14) / std::max<int64_t>(columns, 1); }

}  // namespace

bool is_weight_type(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBFloat16 ||
         is_blocked(dtype);
}

void dequantize(const DequantizeArgs& args) {
  require_weight_type(args.W.dtype);
  const int64_t block = block_of(args.W.dtype).elements, columns = args.y.extent(1);
  require(args.row >= 0 && args.row + args.y.extent(0) <= args.W.rows && args.column >= 0 &&
              args.column + columns <= args.W.columns,
          "dequantize", "y must lie inside W");
  require(args.column % block == 0 && columns % block == 0, "dequantize",
          "columns must be whole blocks");
  require(columns <= 1 || args.y.stride(1) == 1, "dequantize", "rows of y must be dense");
  if (args.W.layout == Layout::kPanels) return dequantize_panels(args);
  const size_t offset = bytes_of(args.W.dtype, args.column);
  for (int64_t r = 0; r < args.y.extent(0); ++r) {
    dequantize_row_cpu(args.W.dtype, args.W.row(args.row + r) + offset, columns,
                       args.y.data() + r * args.y.stride(0));
  }
}

Tensor quantize(const Tensor& x, DType dtype) {
  require_weight_type(dtype);
  require(x.dtype() == DType::kFloat32, "quantize", "the tensor must be float32");
  Tensor result(dtype, x.shape());
  const int64_t columns = x.shape().empty() ? 1 : x.shape().back();
  const int64_t rows = columns == 0 ? 0 : x.size() / columns;
  const size_t row_bytes = bytes_of(dtype, columns);
  parallel_for(rows, grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* row = x.elements<float>().data() + r * columns;
      const bool finite = std::all_of(row, row + columns, [](float v) { return std::isfinite(v); });
      if (!finite || !quantize_row_cpu(dtype, row, columns,
                                       result.raw() + static_cast<size_t>(r) * row_bytes)) {
        refuse_row(dtype, row, columns, r * columns);
      }
    }
  });
  return result;
}

Tensor dequantize(const Tensor& x) {
  require_weight_type(x.dtype());
  Tensor result(DType::kFloat32, x.shape());
  const int64_t columns = x.shape().empty() ? 1 : x.shape().back();
  const int64_t rows = columns == 0 ? 0 : x.size() / columns;
  Matrix W(x.dtype(), rows, columns, x.raw());
  W.layout = x.layout();
  float* const y = result.elements<float>().data();
  parallel_for(rows, grain(columns), [&](int64_t begin, int64_t end) {
    dequantize({.W = W, .y = {y + begin * columns, {end - begin, columns}}, .row = begin});
  });
  return result;
}

}  // namespace longwave::ops
