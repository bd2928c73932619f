// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/linear_scan/linear_scan.h"

#include <algorithm>
#include <complex>

#include "longwave/base/parallel.h"
#include "longwave/ops/linear_scan/linear_scan_check.h"
#include "longwave/ops/linear_scan/linear_scan_cpu.h"
#include "longwave/ops/linear_scan/linear_scan_ref.h"
#include "longwave/ops/simd/flush_subnormals.h"

namespace longwave::ops {
namespace {

// Rows are cut at multiples of this, a whole number of vectors on every processor, if at all.
constexpr int64_t kColumns = 64;
// Elements that are worth another thread.
constexpr int64_t kGrain = 1 << 14;

template <typename T>
constexpr Field kFieldOf = std::is_floating_point_v<T> ? Field::kReal : Field::kComplex;
template <typename T>
constexpr int64_t kFloats = sizeof(T) / sizeof(float);

template <typename... Views>
bool adjacent(const Views&... views) {
  const auto one = [](const auto& view) {
    const size_t last = view.extents().size() - 1;
    return view.absent() || view.extents()[last] <= 1 || view.strides()[last] == 1;
  };
  return (one(views) && ...);
}

// The floats of a row from channel `first` on; null if the view is absent.
template <typename T, int Rank>
const float* floats(const View<const T, Rank>& view, int64_t row, int64_t first) {
  if (view.absent()) return nullptr;
  return reinterpret_cast<const float*>(view.data() + row * view.stride(0) + first);
}
template <typename T, int Rank>
float* floats(const View<T, Rank>& view, int64_t row, int64_t first) {
  if (view.absent()) return nullptr;
  return reinterpret_cast<float*>(view.data() + row * view.stride(0) + first);
}

int64_t pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

// Calls `body(row, first, width)` for pieces of all rows in parallel; rows are cut only if there
// are too few of them for the threads. `time` is that of a row.
template <typename Body>
void for_each_piece(int64_t rows, int64_t width, int64_t time, const Body& body) {
  if (rows == 0 || width == 0) return;
  const int64_t wanted = pieces(thread_count(), rows);
  const int64_t span = pieces(pieces(width, wanted), kColumns) * kColumns;
  const int64_t chunks = pieces(width, span);
  const int64_t work = std::max<int64_t>(1, time * std::min(span, width));
  parallel_for(rows * chunks, std::max<int64_t>(1, kGrain / work), [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % chunks * span;
      body(i / chunks, first, std::min(span, width - first));
    }
  });
}

template <typename T>
void scan_cpu(const LinearScanArgs<T>& args) {
  const int64_t batch = args.b.extent(0), time = args.b.extent(1);
  const int64_t width = args.b.extent(2);
  const View<const T, 3> a = repeated(args.a, batch, time);
  for_each_piece(batch, width, time, [&](int64_t row, int64_t first, int64_t columns) {
    scan_columns({.field = kFieldOf<T>,
                  .width = columns,
                  .time = time,
                  .a = floats(a, row, first),
                  .a_step = a.stride(1) * kFloats<T>,
                  .b = floats(args.b, row, first),
                  .b_step = args.b.stride(1) * kFloats<T>,
                  .h0 = floats(args.h0, row, first),
                  .h = floats(args.h, row, first),
                  .h_step = args.h.stride(1) * kFloats<T>,
                  .final = floats(args.final, row, first)});
  });
}

// Where the gradient of a goes: its sums over time, or its steps.
template <typename T>
FactorGradient factor_gradient(const LinearScanGradArgs<T>& args) {
  if (args.da.absent()) return FactorGradient::kNone;
  if (args.da.extent(1) == 1) return FactorGradient::kSum;
  return FactorGradient::kStore;
}

template <typename T>
ScanGradColumns grad_columns(const LinearScanGradArgs<T>& args, int64_t row, int64_t first,
                             int64_t columns) {
  const View<const T, 3> a = repeated(args.a, args.h.extent(0), args.h.extent(1));
  const View<T, 3> da = repeated(args.da, args.h.extent(0), args.h.extent(1));
  return {.field = kFieldOf<T>,
          .factor = factor_gradient(args),
          .width = columns,
          .time = args.h.extent(1),
          .a = floats(a, row, first),
          .a_step = a.stride(1) * kFloats<T>,
          .h = floats(args.h, row, first),
          .h_step = args.h.stride(1) * kFloats<T>,
          .h0 = floats(args.h0, row, first),
          .dh = floats(args.dh, row, first),
          .dh_step = args.dh.stride(1) * kFloats<T>,
          .dfinal = floats(args.dfinal, row, first),
          .da = floats(da, row, first),
          .da_step = da.stride(1) * kFloats<T>,
          .db = floats(args.db, row, first),
          .db_step = args.db.stride(1) * kFloats<T>,
          .dh0 = floats(args.dh0, row, first)};
}

// Adds up the sums of the sequences that one factor served, in order.
template <typename T>
void write_sums(const LinearScanGradArgs<T>& args, std::span<const double> sums) {
  const int64_t batch = args.h.extent(0), width = args.h.extent(2) * kFloats<T>;
  const int64_t rows = args.da.extent(0);
  const int64_t served = rows == 1 ? batch : 1;
  for (int64_t row = 0; row < rows; ++row) {
    float* da = floats(args.da, row, 0);
    for (int64_t i = 0; i < width; ++i) {
      double sum = 0;
      for (int64_t s = 0; s < served; ++s) sum += sums[(row + s) * width + i];
      da[i] = static_cast<float>(sum);
    }
  }
}

template <typename T>
void backward_cpu(const LinearScanGradArgs<T>& args, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const int64_t batch = args.h.extent(0), width = args.h.extent(2);
  const int64_t time = args.h.extent(1);
  if (factor_gradient(args) == FactorGradient::kStore && args.da.extent(0) == 1 && batch != 1) {
    // One factor a step for the whole batch: each piece takes the sequences in turn.
    for_each_piece(1, width, time * batch, [&](int64_t, int64_t first, int64_t columns) {
      for (int64_t row = 0; row < batch; ++row) {
        ScanGradColumns piece = grad_columns(args, row, first, columns);
        if (row > 0) piece.factor = FactorGradient::kAdd;
        scan_grad_columns(piece);
      }
    });
    return;
  }
  const bool summed = factor_gradient(args) == FactorGradient::kSum;
  const std::span<double> sums = workspace.take<double>(summed ? batch * width * kFloats<T> : 0);
  std::fill(sums.begin(), sums.end(), 0.0);
  for_each_piece(batch, width, time, [&](int64_t row, int64_t first, int64_t columns) {
    ScanGradColumns piece = grad_columns(args, row, first, columns);
    if (summed) piece.da_sum = sums.data() + (row * width + first) * kFloats<T>;
    scan_grad_columns(piece);
  });
  if (summed) write_sums(args, sums);
}

template <typename T>
constexpr bool kHasKernel = std::is_same_v<T, float> || std::is_same_v<T, std::complex<float>>;

}  // namespace

size_t linear_scan_backward_workspace_bytes(int64_t batch, int64_t channels) {
  return Workspace::bytes_for<double>(2 * batch * channels);
}

template <typename T>
void linear_scan(const LinearScanArgs<T>& args) {
  check_linear_scan("linear_scan", args);
  if constexpr (kHasKernel<T>) {
    if (adjacent(args.a, args.b, args.h0, args.h, args.final)) return scan_cpu(args);
  }
  linear_scan_ref(args);
}

template <typename T>
void linear_scan_backward(const LinearScanGradArgs<T>& args, Workspace& workspace) {
  check_linear_scan_gradient("linear_scan_backward", args);
  // Without sequences nothing would write the zero gradient of a shared factor.
  if constexpr (kHasKernel<T>) {
    if (args.h.extent(0) > 0 &&
        adjacent(args.a, args.h, args.h0, args.dh, args.dfinal, args.da, args.db, args.dh0)) {
      return backward_cpu(args, workspace);
    }
  }
  linear_scan_backward_ref(args);
}

template void linear_scan(const LinearScanArgs<float>&);
template void linear_scan(const LinearScanArgs<double>&);
template void linear_scan(const LinearScanArgs<std::complex<float>>&);
template void linear_scan(const LinearScanArgs<std::complex<double>>&);
template void linear_scan_backward(const LinearScanGradArgs<float>&, Workspace&);
template void linear_scan_backward(const LinearScanGradArgs<double>&, Workspace&);
template void linear_scan_backward(const LinearScanGradArgs<std::complex<float>>&, Workspace&);
template void linear_scan_backward(const LinearScanGradArgs<std::complex<double>>&, Workspace&);

}  // namespace longwave::ops
