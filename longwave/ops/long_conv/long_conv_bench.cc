// SPDX-License-Identifier: Apache-2.0
//
// Time of long convolutions, forward and backward. Each case is compared with the direct sum in
// double first, on one channel, and is not timed if it is wrong. Operations are those of the
// butterflies of all transforms.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>

#include "longwave/base/philox.h"
#include "longwave/base/tensor.h"
#include "longwave/ops/long_conv/long_conv.h"
#include "longwave/ops/testing/fma_roofline.h"

namespace longwave::ops {
namespace {

/// Random numbers, aligned as tensors are.
Tensor noise(const Shape& shape, uint64_t stream) {
  Random random(1, stream);
  Tensor result(DType::kFloat32, shape);
  for (float& x : result.elements<float>()) x = static_cast<float>(random.uniform(-1.7, 1.7));
  return result;
}

struct Problem {
  Problem(int64_t batch_size, int64_t steps, int64_t width)
      : batch(batch_size),
        time(steps),
        channels(width),
        u(noise({batch, time, channels}, 1)),
        K(noise({channels, time}, 2)),
        d(noise({channels}, 3)),
        dy(noise({batch, time, channels}, 4)),
        y(u.clone()),
        du(u.clone()),
        dK(K.clone()),
        dd(d.clone()),
        plan(long_conv_plan(time)),
        workspace(long_conv_workspace_bytes(time)) {}

  View<float, 3> sequence(Tensor& x) { return x.view<float, 3>(); }
  View<float, 2> kernel(Tensor& x) { return x.view<float, 2>(); }
  View<float, 1> row(Tensor& x) { return x.view<float, 1>(); }

  void forward() {
    long_conv({.u = sequence(u),
               .K = kernel(K),
               .K_ahead = {},
               .d = row(d),
               .y = sequence(y),
               .plan = &plan},
              workspace);
  }
  void backward() {
    long_conv_grad({.u = sequence(u),
                    .K = kernel(K),
                    .K_ahead = {},
                    .d = row(d),
                    .dy = sequence(dy),
                    .du = sequence(du),
                    .dK = kernel(dK),
                    .dK_ahead = {},
                    .dd = row(dd),
                    .plan = &plan},
                   workspace);
  }

  /// Largest error of y and du on the last channel of the last sequence, over the 2-norm of the
  /// sum.
  double error() {
    double worst = 0;
    const int64_t b = batch - 1, c = channels - 1;
    const auto taps = kernel(K);
    const auto skip = row(d);
    const auto in = sequence(u), out = sequence(y), grad = sequence(dy), grad_in = sequence(du);
    for (int64_t t = 0; t < time; t += 1 + time / 64) {
      double y_sum = skip(c) * in(b, t, c), du_sum = skip(c) * grad(b, t, c);
      for (int64_t l = 0; l < time; ++l) {
        if (l <= t) y_sum += static_cast<double>(taps(c, l)) * in(b, t - l, c);
        if (t + l < time) du_sum += static_cast<double>(taps(c, l)) * grad(b, t + l, c);
      }
      worst =
          std::max({worst, std::abs(y_sum - out(b, t, c)), std::abs(du_sum - grad_in(b, t, c))});
    }
    return worst / std::sqrt(static_cast<double>(time));
  }

  int64_t batch, time, channels;
  Tensor u, K, d, dy, y, du, dK, dd;
  FftPlan plan;
  Workspace workspace;
};

enum class Pass { kForward, kBackward };

void run(benchmark::State& state, Pass pass) {
  Problem problem(state.range(0), state.range(1), state.range(2));
  problem.forward();
  problem.backward();
  if (!(problem.error() < 1e-5)) {
    state.SkipWithError("the result is wrong");
    return;
  }
  // Transforms of one channel; each does three vector operations a point and level, counted as two
  // operations each.
  const bool is_forward = pass == Pass::kForward;
  const int64_t transforms = is_forward ? 2 * problem.batch + 1 : 3 * problem.batch + 2;
  const double n = static_cast<double>(problem.plan.size());
  const double operations =
      static_cast<double>(transforms * problem.channels) * 6 * n * std::log2(n);
  longwave::testing::time_against_peak(
      state, operations, [&] { is_forward ? problem.forward() : problem.backward(); });
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"batch", "time", "channels"})->UseRealTime()->Unit(benchmark::kMillisecond);
  bench->Args({8, 64, 256})->Args({8, 784, 256})->Args({8, 1024, 256})->Args({8, 4096, 256});
  bench->Args({1, 16384, 256})->Args({1, 65536, 64})->Args({8, 3000, 256});
}

BENCHMARK_CAPTURE(run, forward, Pass::kForward)->Apply(sizes);
BENCHMARK_CAPTURE(run, backward, Pass::kBackward)->Apply(sizes);

}  // namespace
}  // namespace longwave::ops

BENCHMARK_MAIN();
