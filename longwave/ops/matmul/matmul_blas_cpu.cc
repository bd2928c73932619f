// SPDX-License-Identifier: Apache-2.0
#include <cblas.h>

#include <algorithm>
#include <span>

#include "longwave/base/parallel.h"
#include "longwave/base/workspace.h"
#include "longwave/ops/matmul/matmul_kernels.h"
#include "longwave/ops/quant/quant.h"

namespace longwave::ops {
namespace {

/// Rows and outputs of one call: fixed, so that how a number is summed depends on the shape alone.
constexpr int64_t kBlockRows = 128, kBlockOutputs = 256;

/// Keeps OpenBLAS from starting threads of its own in this thread: they change the last bits.
class SerialBlas {
 public:
  SerialBlas() { set_thread_count(1); }
  ~SerialBlas() { set_thread_count(threads_); }
  SerialBlas(const SerialBlas&) = delete;
  SerialBlas& operator=(const SerialBlas&) = delete;

 private:
  int threads_ = thread_count();
};

int64_t blocks_of(int64_t count, int64_t size) { return (count + size - 1) / size; }

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

/// W is float32.
void product(const MatmulArgs<float>& args) {
  preset(args);
  const bool keeps = args.accumulate == Accumulate::kAdd || !args.b.absent();
  const View<const float, 2> W = args.W.floats();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<blasint>(args.y.extent(0)),
              static_cast<blasint>(args.y.extent(1)), static_cast<blasint>(args.x.extent(1)), 1.0f,
              args.x.data(), leading(args.x), W.data(), leading(W), keeps ? 1.0f : 0.0f,
              args.y.data(), leading(args.y));
}

/// Outputs and inputs of a tile of W as float32: it stays in a core's own cache.
constexpr int64_t kTileOutputs = 128, kTileInputs = 1024;

/// Where on y one call works.
struct Part {
  int64_t row, rows;
  int64_t output, outputs;
};

MatmulArgs<float> part_of(const MatmulArgs<float>& args, const Part& at) {
  MatmulArgs<float> part = args;
  part.x = args.x.slice(0, at.row, at.rows);
  part.W = args.W.slice(at.output, at.outputs);
  if (!args.b.absent()) part.b = args.b.slice(0, at.output, at.outputs);
  part.y = args.y.slice(0, at.row, at.rows).slice(1, at.output, at.outputs);
  return part;
}

/// Weights of any type: each tile becomes float32 once for all rows of the part.
void product_in_tiles(const MatmulArgs<float>& args, std::span<float> scratch) {
  const int64_t rows = args.x.extent(0), outputs = args.W.rows, inputs = args.W.columns;
  for (int64_t column = 0; column < inputs; column += kTileInputs) {
    const int64_t columns = std::min(kTileInputs, inputs - column);
    const View<float, 2> tile(scratch.data(), {outputs, columns});
    dequantize({.W = args.W, .y = tile, .column = column});
    for (int64_t row = 0; row < rows; row += kBlockRows) {
      const Part block{row, std::min(kBlockRows, rows - row), 0, outputs};
      MatmulArgs<float> part = part_of(args, block);
      part.x = part.x.slice(1, column, columns);
      part.W = tile;
      if (column > 0) {
        part.b = {};
        part.accumulate = Accumulate::kAdd;
      }
      product(part);
    }
  }
}

/// The grid of parts that a product is cut into; `i` counts them along the outputs first.
struct Grid {
  const MatmulArgs<float>& args;
  int64_t rows, outputs;

  int64_t columns() const { return blocks_of(args.W.rows, outputs); }
  int64_t count() const { return blocks_of(args.x.extent(0), rows) * columns(); }
  MatmulArgs<float> part(int64_t i) const {
    const int64_t row = i / columns() * rows, output = i % columns() * outputs;
    return part_of(args, {row, std::min(rows, args.x.extent(0) - row), output,
                          std::min(outputs, args.W.rows - output)});
  }
};

}  // namespace

void matmul_many_rows_cpu(const MatmulArgs<float>& args) {
  // Below this many multiply-adds, waking a second thread costs more than it saves.
  constexpr int64_t kGrain = 1 << 19;
  const bool plain = args.W.dtype == DType::kFloat32;
  const Grid grid =
      plain ? Grid{args, kBlockRows, kBlockOutputs} : Grid{args, 4 * kBlockRows, kTileOutputs};
  const int64_t work = grid.rows * grid.outputs * args.x.extent(1);
  parallel_for(grid.count(), 1 + kGrain / work, [&](int64_t begin, int64_t end) {
    const SerialBlas serial;
    if (plain) {
      for (int64_t i = begin; i < end; ++i) product(grid.part(i));
      return;
    }
    Workspace scratch(Workspace::bytes_for<float>(kTileOutputs * kTileInputs));
    const std::span<float> tile = scratch.take<float>(kTileOutputs * kTileInputs);
    for (int64_t i = begin; i < end; ++i) product_in_tiles(grid.part(i), tile);
  });
}

}  // namespace longwave::ops
