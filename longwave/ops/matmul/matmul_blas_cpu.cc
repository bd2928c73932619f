// SPDX-License-Identifier: Apache-2.0
#include <cblas.h>

#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/matmul/matmul_kernels.h"

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

void product(const MatmulArgs<float>& args) {
  preset(args);
  const bool keeps = args.accumulate == Accumulate::kAdd || !args.b.absent();
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<blasint>(args.y.extent(0)),
              static_cast<blasint>(args.y.extent(1)), static_cast<blasint>(args.x.extent(1)), 1.0f,
              args.x.data(), leading(args.x), args.W.data(), leading(args.W), keeps ? 1.0f : 0.0f,
              args.y.data(), leading(args.y));
}

/// The part of the product that `block` of the grid of blocks is.
MatmulArgs<float> part_of(const MatmulArgs<float>& args, int64_t block) {
  const int64_t columns = blocks_of(args.W.extent(0), kBlockOutputs);
  const int64_t row = block / columns * kBlockRows, output = block % columns * kBlockOutputs;
  const int64_t rows = std::min(kBlockRows, args.x.extent(0) - row);
  const int64_t outputs = std::min(kBlockOutputs, args.W.extent(0) - output);
  MatmulArgs<float> part = args;
  part.x = args.x.slice(0, row, rows);
  part.W = args.W.slice(0, output, outputs);
  if (!args.b.absent()) part.b = args.b.slice(0, output, outputs);
  part.y = args.y.slice(0, row, rows).slice(1, output, outputs);
  return part;
}

}  // namespace

void matmul_many_rows_cpu(const MatmulArgs<float>& args) {
  // Below this many multiply-adds, waking a second thread costs more than it saves.
  constexpr int64_t kGrain = 1 << 19;
  const int64_t work = kBlockRows * kBlockOutputs * args.x.extent(1);
  const int64_t blocks =
      blocks_of(args.x.extent(0), kBlockRows) * blocks_of(args.W.extent(0), kBlockOutputs);
  parallel_for(blocks, 1 + kGrain / work, [&](int64_t begin, int64_t end) {
    const SerialBlas serial;
    for (int64_t block = begin; block < end; ++block) product(part_of(args, block));
  });
}

}  // namespace longwave::ops
