// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "longwave/base/assert.h"
#include "longwave/base/parallel.h"
#include "longwave/base/workspace.h"
#include "longwave/ops/matmul/matmul_kernels.h"
#include "longwave/ops/matmul/rounded_columns.h"
#include "longwave/ops/matmul/want_vnni.h"
#include "longwave/ops/quant/panels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/matmul/matmul_panels_cpu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first.
#include <hwy/highway.h>

#include "longwave/ops/matmul/panel_blocks-inl.h"

#ifndef LONGWAVE_OPS_MATMUL_MATMUL_PANELS_CPU_CC_
#define LONGWAVE_OPS_MATMUL_MATMUL_PANELS_CPU_CC_

namespace longwave::ops {

/// Columns of few rows of x, or of a piece of a row, on the stack.
inline constexpr int64_t kPanelColumns = 32768;

/// The panels of some outputs with some rows and columns of x.
struct PanelProduct {
  const MatmulArgs<float>& args;  // all columns of W, the rows of x and y
  RoundedColumns x;               // the rows, one after the other
  int64_t first, columns;         // of W and of x
  Accumulate accumulate;
};

}  // namespace longwave::ops

#endif

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

/// Vectors that have the rows of a panel.
constexpr int kParts = kPanelRows / PanelSimd::kLanes;

/// Writes the sums of a part of a panel with a row of x.
HWY_INLINE void put(const PanelProduct& product, int64_t row, int64_t output, Floats sums) {
  const MatmulArgs<float>& args = product.args;
  float* HWY_RESTRICT y = &args.y(row, output);
  alignas(64) float sum[PanelSimd::kLanes];
  PanelSimd::store(sums, sum);
  if (!args.b.absent() && product.first == 0) {
    for (int i = 0; i < PanelSimd::kLanes; ++i) sum[i] += args.b(output + i);
  }
  const bool adds = product.accumulate == Accumulate::kAdd;
  for (int i = 0; i < PanelSimd::kLanes; ++i) y[i] = adds ? y[i] + sum[i] : sum[i];
}

/// Products of `Rows` rows of x with `Panels` panels. Each has its own partial sums, a block of
/// columns after the other whatever the tile, so that a row alone equals the row in a batch.
template <typename Panel, int Rows, int Panels>
void tile(const PanelProduct& product, int64_t row, int64_t panel) {
  // As far ahead as memory needs to answer in time, where a row alone reads all panels once.
  constexpr uintptr_t kAhead = Rows == 1 ? 4096 : 0;
  constexpr int kAllParts = Panels * kParts;
  constexpr int kColumns = columns_of(static_cast<const Panel*>(nullptr));
  const Matrix& W = product.args.W;
  RoundedColumns x[Rows];
  for (int r = 0; r < Rows; ++r) x[r] = product.x.from((row + r) * product.columns);
  const Panel* w[kAllParts];
  int lane[kAllParts];
  for (int p = 0; p < kAllParts; ++p) {
    w[p] = reinterpret_cast<const Panel*>(W.row((panel + p / kParts) * kPanelRows)) +
           product.first / kColumns;
    lane[p] = p % kParts * PanelSimd::kLanes;
  }
  Floats total[Rows][kAllParts];
  for (auto& line : total) {
    for (auto& sum : line) sum = PanelSimd::zero();
  }
  for (int64_t column = 0; column < product.columns; column += kColumns) {
    if constexpr (kAhead > 0) {
      // The last of these need not be there.
      const uintptr_t at = reinterpret_cast<uintptr_t>(w[0]) + kAhead;
      for (size_t i = 0; i < sizeof(Panel); i += 64) {
        __builtin_prefetch(reinterpret_cast<const void*>(at + i), 0, 3);
      }
    }
    add_block<Rows, kAllParts>(x, column, w, lane, total);
    for (auto& panels : w) ++panels;
  }
  for (int r = 0; r < Rows; ++r) {
    for (int p = 0; p < kAllParts; ++p) {
      put(product, row + r, panel * kPanelRows + p * PanelSimd::kLanes, total[r][p]);
    }
  }
}

/// Some panels with every row of x, while they are in a near cache.
template <typename Panel, int Panels>
void panels_of(const PanelProduct& product, int64_t panel) {
  constexpr int kRows = PanelSimd::kLanes == 16 ? 4 : 2;
  const int64_t rows = product.args.x.extent(0);
  int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) tile<Panel, kRows, Panels>(product, r, panel);
  for (; r < rows; ++r) tile<Panel, 1, Panels>(product, r, panel);
}

template <typename Panel>
void all_panels(const PanelProduct& product, int64_t begin, int64_t end) {
  // As many sums as the registers hold; a row alone walks along one stream of memory.
  constexpr int kPanels = PanelSimd::kLanes == 16 ? 2 : 1;
  int64_t panel = begin;
  if (product.args.x.extent(0) > 1) {
    for (; panel + kPanels <= end; panel += kPanels) panels_of<Panel, kPanels>(product, panel);
  }
  for (; panel < end; ++panel) panels_of<Panel, 1>(product, panel);
}

/// Panels [begin, end) with every row of x.
void multiply_panels(const PanelProduct& product, int64_t begin, int64_t end) {
  switch (product.args.W.dtype) {
    case DType::kQ8_0:
      return all_panels<PanelQ8_0>(product, begin, end);
    case DType::kQ4_0:
      return all_panels<PanelQ4_0>(product, begin, end);
    case DType::kQ4_K:
      return all_panels<PanelQ4_K>(product, begin, end);
    case DType::kQ6_K:
      return all_panels<PanelQ6_K>(product, begin, end);
    default:
      LONGWAVE_ASSERT(false, "this type does not lie in panels");
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {
namespace {

HWY_EXPORT(multiply_panels);

void run(const PanelProduct& product) {
  const int64_t rows = product.args.x.extent(0);
  // Below these many numbers and multiply-adds, waking a second thread costs more than it saves.
  constexpr int64_t kGrainNumbers = 1 << 14, kGrain = 1 << 16;
  parallel_for(rows, 1 + kGrainNumbers / product.columns, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      round_columns_cpu(&product.args.x(r, product.first), product.columns,
                        product.x.from(r * product.columns));
    }
  });
  const int64_t work = rows * product.columns * kPanelRows;
  parallel_for(product.args.W.rows / kPanelRows, 1 + kGrain / work,
               [&](int64_t begin, int64_t end) {
                 HWY_DYNAMIC_DISPATCH(multiply_panels)(product, begin, end);
               });
}

/// Some rows of x after the other, and some columns, so that they fit in `x`.
void run_in_pieces(const MatmulArgs<float>& args, const RoundedColumns& x, int64_t capacity) {
  const int64_t rows = args.x.extent(0), columns = args.x.extent(1);
  const int64_t at_once = std::min(columns, kPanelColumns);
  for (int64_t row = 0; row < rows; row += capacity / at_once) {
    const int64_t count = std::min(capacity / at_once, rows - row);
    MatmulArgs<float> part = args;
    part.x = args.x.slice(0, row, count);
    part.y = args.y.slice(0, row, count);
    for (int64_t first = 0; first < columns; first += at_once) {
      run({.args = part,
           .x = x,
           .first = first,
           .columns = std::min(at_once, columns - first),
           .accumulate = first > 0 ? Accumulate::kAdd : args.accumulate});
    }
  }
}

}  // namespace

void matmul_panels_cpu(const MatmulArgs<float>& args) {
  // Many rows at once, so that W is read seldom.
  constexpr int64_t kMany = 16 * kPanelColumns;
  if (args.x.extent(0) <= kMatmulFewRows) {
    alignas(64) int8_t q[kPanelColumns];
    alignas(64) float scale[kPanelColumns / 32];
    alignas(64) int32_t sum[kPanelColumns / 16];
    return run_in_pieces(args, {q, scale, sum}, kPanelColumns);
  }
  const int64_t capacity = std::min(args.x.size(), kMany);
  Workspace store(Workspace::bytes_for<int8_t>(capacity) +
                  Workspace::bytes_for<float>(capacity / 32) +
                  Workspace::bytes_for<int32_t>(capacity / 16));
  const RoundedColumns x = {store.take<int8_t>(capacity).data(),
                            store.take<float>(capacity / 32).data(),
                            store.take<int32_t>(capacity / 16).data()};
  run_in_pieces(args, x, capacity);
}

}  // namespace longwave::ops
#endif
