// SPDX-License-Identifier: Apache-2.0
//
// Time of the element-wise and normalising kernels that stand around a mixer, in percent of the
// speed of a copy of the same bytes measured in the same run. Sizes: what fits the second-level
// cache, and one layer of a training step (batch 32, length 784, 64 channels). Each kernel is
// compared with its reference in double first and is not timed if it is wrong.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/ops/elementwise/elementwise.h"
#include "longwave/ops/norm/norm.h"

namespace longwave::ops {
namespace {

constexpr int64_t kChannels = 64;

/// The operands of every kernel here, in type T: rows of kChannels numbers.
template <typename T>
struct Operands {
  int64_t rows;
  std::vector<T> x, dy, out, w, b, moments, dw, db;
  Workspace workspace{norm_workspace_bytes<T>(kChannels)};

  explicit Operands(int64_t r) : rows(r) {
    Random random(1);
    const auto noise = [&](int64_t count) {
      std::vector<T> numbers(count);
      for (T& number : numbers) number = static_cast<float>(random.normal());
      return numbers;
    };
    x = noise(rows * kChannels);
    dy = noise(rows * kChannels);
    out.assign(rows * kChannels, std::numeric_limits<T>::quiet_NaN());
    w = noise(kChannels);
    b = noise(kChannels);
    moments.assign(rows * 2, 0);
    dw.assign(kChannels, 0);
    db.assign(kChannels, 0);
    layer_norm();  // leaves the moments that its gradient needs
  }

  View<T, 2> matrix(std::vector<T>& data) { return {data.data(), {rows, kChannels}}; }
  View<T, 1> row(std::vector<T>& data) { return {data.data(), {kChannels}}; }

  void layer_norm() {
    row_norm<T>({.kind = RowNorm::kLayer,
                 .epsilon = T(1e-5),
                 .x = matrix(x),
                 .w = row(w),
                 .b = row(b),
                 .y = matrix(out),
                 .moments = {moments.data(), {rows, 2}}});
  }
  void layer_norm_grad() {
    row_norm_grad<T>({.kind = RowNorm::kLayer,
                      .x = matrix(x),
                      .w = row(w),
                      .moments = {moments.data(), {rows, 2}},
                      .dy = matrix(dy),
                      .dx = matrix(out),
                      .dw = row(dw),
                      .db = row(db)},
                     workspace);
  }
  void gelu() { activate<T>(Activation::kGelu, x, out); }
  void gelu_grad() { activate_grad<T>(Activation::kGelu, x, dy, out); }
  void glu() { gate<T>({Activation::kSigmoid, matrix(x), matrix(dy), matrix(out)}); }
  void moments_of_channels() {
    channel_moments<T>({.x = matrix(x), .mean = row(dw), .var = row(db)}, workspace);
  }
};

/// Bytes per second of copying on all threads, for operands of this size.
double copy_speed(int64_t rows) {
  const int64_t count = rows * kChannels;
  const std::vector<float> from(count, 1);
  std::vector<float> to(count);
  double best = std::numeric_limits<double>::infinity();
  for (int repeat = 0; repeat < 50; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(count, 1 << 14, [&](int64_t begin, int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin, (end - begin) * sizeof(float));
    });
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count());
  }
  return 2.0 * static_cast<double>(count) * sizeof(float) / best;
}

/// Whether the float kernel left what the reference in double leaves.
template <typename Fast, typename Exact>
bool right(int64_t rows, Fast fast_kernel, Exact exact_kernel) {
  Operands<float> fast(rows);
  Operands<double> exact(rows);
  std::invoke(fast_kernel, fast);
  std::invoke(exact_kernel, exact);
  const auto close = [](const auto& expected, const auto& got, double magnitude) {
    const double bound = 64 * std::numeric_limits<float>::epsilon() * magnitude;
    for (size_t i = 0; i < expected.size(); ++i) {
      if (!(std::abs(expected[i] - got[i]) <= bound)) return false;
    }
    return true;
  };
  // Values reach about 25; sums over rows of random signs grow with the root of their number.
  const double sum = 25 * std::sqrt(static_cast<double>(rows));
  return close(exact.out, fast.out, 25) && close(exact.dw, fast.dw, sum) &&
         close(exact.db, fast.db, sum);
}

/// `streams` matrices are read or written once.
template <void (Operands<float>::*Fast)(), void (Operands<double>::*Exact)(), int Streams>
void kernel(benchmark::State& state) {
  const int64_t rows = state.range(0);
  if (!right(rows, Fast, Exact)) {
    state.SkipWithError("wrong result: not timed");
    return;
  }
  const double copy = copy_speed(rows);
  Operands<float> operands(rows);
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) (operands.*Fast)();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  const double elements = static_cast<double>(rows * kChannels * state.iterations());
  state.counters["ns/element"] = 1e9 * taken.count() / elements;
  state.counters["% of copy"] = 100 * Streams * sizeof(float) * elements / taken.count() / copy;
}

#define LONGWAVE_KERNEL(name, streams)                                        \
  BENCHMARK(kernel<&Operands<float>::name, &Operands<double>::name, streams>) \
      ->Name(#name)                                                           \
      ->Arg(512)                                                              \
      ->Arg(32 * 784)                                                         \
      ->UseRealTime()

LONGWAVE_KERNEL(gelu, 2);
LONGWAVE_KERNEL(gelu_grad, 3);
LONGWAVE_KERNEL(glu, 3);
LONGWAVE_KERNEL(layer_norm, 2);
LONGWAVE_KERNEL(layer_norm_grad, 3);
LONGWAVE_KERNEL(moments_of_channels, 1);

}  // namespace
}  // namespace longwave::ops

BENCHMARK_MAIN();
