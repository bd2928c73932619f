// SPDX-License-Identifier: Apache-2.0
//
// Time of attention over a sequence, forward and backward, and of a step over a full ring, in
// percent of the multiply-add peak measured in the same run. Operations are those of the pairs that
// are seen: 4 head_dim for each forward, 10 backward. Checked against the reference in double on a
// shorter sequence first; a wrong kernel is not timed.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/attention/attention.h"
#include "longwave/ops/attention/attention_ref.h"
#include "longwave/ops/attention/rotary.h"
#include "longwave/ops/testing/fma_roofline.h"

namespace longwave::ops {
namespace {

struct Size {
  int64_t time, heads, kv_heads, dim, window;
};

Size size_of(const benchmark::State& state) {
  return {state.range(0), state.range(1), state.range(2), state.range(3), state.range(4)};
}

template <typename T>
struct Layer {
  Size size;
  std::vector<T> q, k, v, dy, y, lse, dq, dk, dv;
  std::vector<int64_t> seen;
  Workspace workspace;

  explicit Layer(const Size& s)
      : size(s),
        seen{s.window},
        workspace(std::max(attention_workspace_bytes({s.heads, s.kv_heads, s.dim}),
                           attention_backward_workspace_bytes({s.heads, s.kv_heads, s.dim}))) {
    Random random(1);
    const auto noise = [&](int64_t count) {
      std::vector<T> numbers(count);
      for (T& number : numbers) number = static_cast<float>(random.normal());
      return numbers;
    };
    q = noise(s.time * s.heads * s.dim);
    k = noise(std::max(s.time, s.window) * s.kv_heads * s.dim);
    v = noise(std::max(s.time, s.window) * s.kv_heads * s.dim);
    dy = noise(q.size());
    y.assign(q.size(), 0);
    lse.assign(s.time * s.heads, 0);
    dq = y;
    dk = dv = k;
  }
  View<T, 4> queries(std::vector<T>& data) const {
    return {data.data(), {1, size.time, size.heads, size.dim}};
  }
  View<T, 4> keys(std::vector<T>& data, int64_t rows) const {
    return {data.data(), {1, rows, size.kv_heads, size.dim}};
  }
  AttentionArgs<T> forward() {
    return {.scale = T(1 / std::sqrt(static_cast<double>(size.dim))),
            .window = size.window,
            .q = queries(q),
            .k = keys(k, size.time),
            .v = keys(v, size.time),
            .ring_k = {},
            .ring_v = {},
            .seen = {},
            .starts = {},
            .y = queries(y),
            .lse = {lse.data(), {1, size.heads, size.time}}};
  }
  AttentionArgs<T> step() {
    AttentionArgs<T> args = forward();
    args.ring_k = keys(k, size.window);
    args.ring_v = keys(v, size.window);
    args.seen = {seen.data(), {1}};
    return args;
  }
  AttentionGradArgs<T> backward() {
    const AttentionArgs<T> args = forward();
    return {.scale = args.scale,
            .window = args.window,
            .q = args.q,
            .k = args.k,
            .v = args.v,
            .seen = {},
            .starts = {},
            .y = args.y,
            .lse = args.lse,
            .dy = queries(dy),
            .dq = queries(dq),
            .dk = keys(dk, size.time),
            .dv = keys(dv, size.time)};
  }
};

bool close(const std::vector<double>& expected, const std::vector<float>& got, double magnitude) {
  for (size_t i = 0; i < got.size(); ++i) {
    if (!(std::abs(expected[i] - got[i]) < 64 * 1.2e-7 * magnitude)) return false;
  }
  return true;
}

bool right(Size size) {
  size.time = std::min<int64_t>(size.time, 100);
  size.window = std::min<int64_t>(size.window, 100);
  Layer<float> fast(size);
  Layer<double> exact(size);
  attention(fast.forward(), fast.workspace);
  attention_ref(exact.forward());
  attention_backward(fast.backward(), fast.workspace);
  attention_backward_ref(exact.backward());
  // Sums over at most 100 steps of products of two normal numbers.
  return close(exact.y, fast.y, 5) && close(exact.dq, fast.dq, 50) && close(exact.dv, fast.dv, 50);
}

// Pairs of a query and a key that it sees, of all heads.
double pairs(const Size& size) {
  double sum = 0;
  for (int64_t t = 0; t < size.time; ++t) {
    sum += static_cast<double>(std::min(t + 1, size.window));
  }
  return sum * static_cast<double>(size.heads);
}

void forward(benchmark::State& state) {
  const Size size = size_of(state);
  if (!right(size)) return state.SkipWithError("wrong result: not timed");
  Layer<float> layer(size);
  testing::time_against_peak(state, 4 * pairs(size) * static_cast<double>(size.dim),
                             [&] { attention(layer.forward(), layer.workspace); });
}

void backward(benchmark::State& state) {
  const Size size = size_of(state);
  if (!right(size)) return state.SkipWithError("wrong result: not timed");
  Layer<float> layer(size);
  attention(layer.forward(), layer.workspace);
  testing::time_against_peak(state, 10 * pairs(size) * static_cast<double>(size.dim),
                             [&] { attention_backward(layer.backward(), layer.workspace); });
}

void step(benchmark::State& state) {
  const Size size = size_of(state);
  if (!right(size)) return state.SkipWithError("wrong result: not timed");
  Layer<float> layer(size);
  const double seen = static_cast<double>(size.heads * size.window);
  testing::time_against_peak(state, 4 * seen * static_cast<double>(size.dim),
                             [&] { attention(layer.step(), layer.workspace); });
}

void turn(benchmark::State& state) {
  Layer<float> layer(size_of(state));
  for (auto _ : state) {
    rotary<float>({.pairs = RotaryPairs::kHalves,
                   .direction = RotaryDirection::kForward,
                   .base = 10000,
                   .dims = layer.size.dim,
                   .start = {},
                   .x = layer.queries(layer.q),
                   .y = layer.queries(layer.y)});
  }
}

BENCHMARK(forward)
    ->Args({1024, 8, 8, 64, 1024})
    ->Args({2048, 8, 2, 64, 256})
    ->Args({1024, 8, 2, 128, 1024});
BENCHMARK(backward)->Args({1024, 8, 8, 64, 1024})->Args({2048, 8, 2, 64, 256});
BENCHMARK(step)
    ->Args({1, 8, 8, 64, 2048})
    ->Args({1, 8, 2, 64, 2048})
    ->Args({1, 4, 4, 36, 16384})
    ->Args({1, 8, 8, 64, 16384});
BENCHMARK(turn)->Name("rotary")->Args({1024, 8, 8, 64, 1});

}  // namespace
}  // namespace longwave::ops

BENCHMARK_MAIN();
