// SPDX-License-Identifier: Apache-2.0
//
// Time of the gated normalisation of a Mamba-2 layer, forward and backward, in percent of the
// memory speed measured in the same run. Checked against the reference first; a wrong kernel is not
// timed.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/gated_norm/gated_norm.h"
#include "longwave/ops/gated_norm/gated_norm_ref.h"
#include "longwave/ops/simd/machine_peak.h"

namespace longwave::ops {
namespace {

template <typename T>
struct Layer {
  int64_t rows, channels;
  std::vector<T> x, z, w, dy, y, inverse, dx, dz, dw;
  Workspace workspace;

  Layer(int64_t r, int64_t c)
      : rows(r), channels(c), workspace(gated_norm_backward_workspace_bytes(c)) {
    Random random(1);
    const auto noise = [&](int64_t count) {
      std::vector<T> numbers(count);
      for (T& number : numbers) number = static_cast<float>(random.normal());
      return numbers;
    };
    x = noise(rows * channels);
    z = noise(rows * channels);
    w = noise(channels);
    dy = noise(rows * channels);
    y.assign(x.size(), 0);
    dx = dz = y;
    dw = w;
    inverse.assign(rows, 0);
  }
  View<T, 2> all(std::vector<T>& data) { return {data.data(), {rows, channels}}; }
  GatedNormArgs<T> forward() {
    return {.order = GateOrder::kBefore,
            .groups = 1,
            .epsilon = T(1e-5),
            .x = all(x),
            .z = all(z),
            .w = {w.data(), {channels}},
            .y = all(y),
            .inverse = {inverse.data(), {rows, 1}}};
  }
  GatedNormGradArgs<T> backward() {
    return {.order = GateOrder::kBefore,
            .x = all(x),
            .z = all(z),
            .w = {w.data(), {channels}},
            .inverse = {inverse.data(), {rows, 1}},
            .dy = all(dy),
            .dx = all(dx),
            .dz = all(dz),
            .dw = {dw.data(), {channels}}};
  }
};

bool right(int64_t rows, int64_t channels) {
  Layer<float> fast(rows, channels);
  Layer<double> exact(rows, channels);
  gated_norm(fast.forward());
  gated_norm_ref(exact.forward());
  gated_norm_backward(fast.backward(), fast.workspace);
  gated_norm_backward_ref(exact.backward());
  const auto close = [](const std::vector<double>& expected, const std::vector<float>& got,
                        double magnitude) {
    for (size_t i = 0; i < got.size(); ++i) {
      if (!(std::abs(expected[i] - got[i]) < 64 * 1.2e-7 * magnitude)) return false;
    }
    return true;
  };
  const double sum = 25 * std::sqrt(static_cast<double>(rows));
  return close(exact.y, fast.y, 25) && close(exact.dx, fast.dx, 25) &&
         close(exact.dz, fast.dz, 25) && close(exact.dw, fast.dw, sum);
}

enum class Pass : uint8_t { kForward, kBackward };

template <Pass Which>
void norm(benchmark::State& state) {
  const int64_t rows = state.range(0), channels = state.range(1);
  static const double speed = measure_machine_peak().bytes_per_second;
  if (!right(std::min<int64_t>(rows, 500), channels)) {
    state.SkipWithError("wrong result: not timed");
    return;
  }
  Layer<float> layer(rows, channels);
  gated_norm(layer.forward());
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    if (Which == Pass::kForward) gated_norm(layer.forward());
    if (Which == Pass::kBackward) gated_norm_backward(layer.backward(), layer.workspace);
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  const double elements = static_cast<double>(rows * channels * state.iterations());
  const double bytes = (Which == Pass::kForward ? 12 : 20) * elements;
  state.counters["ns/element"] = 1e9 * taken.count() / elements;
  state.counters["% of memory"] = 100 * bytes / taken.count() / speed;
}

BENCHMARK(norm<Pass::kForward>)->Name("forward")->Args({8192, 1536})->Args({512, 512});
BENCHMARK(norm<Pass::kBackward>)->Name("backward")->Args({8192, 1536})->Args({512, 512});

}  // namespace
}  // namespace longwave::ops

BENCHMARK_MAIN();
