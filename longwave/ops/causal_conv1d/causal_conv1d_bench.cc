// SPDX-License-Identifier: Apache-2.0
//
// Time of the causal convolution of a Mamba layer (width 4, SiLU), forward, backward and a step of
// a stream, in percent of the memory speed measured in the same run. Checked against the reference
// first; a wrong kernel is not timed.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/causal_conv1d/causal_conv1d.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_ref.h"
#include "longwave/ops/simd/machine_peak.h"

namespace longwave::ops {
namespace {

constexpr int64_t kWidth = 4;

template <typename T>
struct Layer {
  int64_t batch, time, channels;
  std::vector<T> x, w, b, history, y, dx, dw, db;
  Workspace workspace;

  Layer(int64_t s, int64_t t, int64_t c)
      : batch(s),
        time(t),
        channels(c),
        workspace(causal_conv1d_backward_workspace_bytes({s, t, c, kWidth})) {
    Random random(1);
    const auto noise = [&](int64_t count) {
      std::vector<T> numbers(count);
      for (T& number : numbers) number = static_cast<float>(random.normal());
      return numbers;
    };
    x = noise(batch * time * channels);
    w = noise(channels * kWidth);
    b = noise(channels);
    history = noise(batch * (kWidth - 1) * channels);
    y.assign(x.size(), 0);
    dx = y;
    dw = w;
    db = b;
  }
  CausalConv1dArgs<T> forward() {
    const View<T, 3> past(history.data(), {batch, kWidth - 1, channels});
    return {.activation = ConvActivation::kSilu,
            .x = {x.data(), {batch, time, channels}},
            .w = {w.data(), {channels, kWidth}},
            .b = {b.data(), {channels}},
            .history = past,
            .starts = {},
            .y = {y.data(), {batch, time, channels}},
            .final_history = past};
  }
  CausalConv1dGradArgs<T> backward() {
    const CausalConv1dArgs<T> args = forward();
    return {.activation = args.activation,
            .x = args.x,
            .w = args.w,
            .b = args.b,
            .history = args.history,
            .starts = {},
            .dy = args.x,
            .dfinal = {},
            .dx = {dx.data(), {batch, time, channels}},
            .dw = {dw.data(), {channels, kWidth}},
            .db = {db.data(), {channels}},
            .dhistory = {}};
  }
};

bool right(int64_t batch, int64_t time, int64_t channels) {
  Layer<float> fast(batch, time, channels);
  Layer<double> exact(batch, time, channels);
  causal_conv1d_backward(fast.backward(), fast.workspace);
  causal_conv1d_backward_ref(exact.backward());
  causal_conv1d(fast.forward());
  causal_conv1d_ref(exact.forward());
  const auto close = [](const std::vector<double>& expected, const std::vector<float>& got,
                        double magnitude) {
    for (size_t i = 0; i < got.size(); ++i) {
      if (!(std::abs(expected[i] - got[i]) < 16 * 1.2e-7 * magnitude)) return false;
    }
    return true;
  };
  const double sum = 25 * std::sqrt(static_cast<double>(batch * time));
  return close(exact.y, fast.y, 50) && close(exact.dx, fast.dx, 100) &&
         close(exact.dw, fast.dw, 4 * sum) && close(exact.history, fast.history, 1);
}

enum class Pass : uint8_t { kForward, kBackward };

template <Pass Which>
void conv(benchmark::State& state) {
  const int64_t batch = state.range(0), time = state.range(1), channels = state.range(2);
  static const double speed = measure_machine_peak().bytes_per_second;
  if (!right(batch, std::min<int64_t>(time, 300), channels)) {
    state.SkipWithError("wrong result: not timed");
    return;
  }
  Layer<float> layer(batch, time, channels);
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    if (Which == Pass::kForward) causal_conv1d(layer.forward());
    if (Which == Pass::kBackward) causal_conv1d_backward(layer.backward(), layer.workspace);
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  const double elements = static_cast<double>(batch * time * channels * state.iterations());
  const double bytes = (Which == Pass::kForward ? 8 : 12) * elements;
  state.counters["ns/element"] = 1e9 * taken.count() / elements;
  state.counters["% of memory"] = 100 * bytes / taken.count() / speed;
}

void step(benchmark::State& state) {
  Layer<float> layer(state.range(0), 1, state.range(1));
  for (auto _ : state) causal_conv1d(layer.forward());
}

BENCHMARK(conv<Pass::kForward>)->Name("forward")->Args({8, 2048, 1536})->Args({4, 1024, 512});
BENCHMARK(conv<Pass::kBackward>)->Name("backward")->Args({8, 2048, 1536})->Args({4, 1024, 512});
BENCHMARK(step)->Args({1, 1536})->Args({16, 1536});

}  // namespace
}  // namespace longwave::ops

BENCHMARK_MAIN();
