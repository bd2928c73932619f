// SPDX-License-Identifier: Apache-2.0
//
// Time of Vandermonde kernels, forward and backward. Each case is compared with plain powers in
// double first and is not timed if it is wrong. Operations are two multiply-adds for each mode and
// tap, six backward.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/testing/difference.h"
#include "longwave/ops/testing/fma_roofline.h"
#include "longwave/ops/vandermonde/vandermonde.h"

namespace longwave::ops {
namespace {

using longwave::testing::relative_difference;

/// Damped oscillations with all memories up to a thousand steps.
template <typename T>
struct Problem {
  using Complex = std::complex<T>;

  Problem(int64_t width, int64_t mode_count, int64_t taps)
      : channels(width), modes(mode_count), length(taps) {
    Random random(3);
    const auto number = [](std::complex<double> x) { return Complex(std::complex<float>(x)); };
    for (int64_t i = 0; i < channels * modes; ++i) {
      const double decay = std::exp(random.uniform(std::log(1e-3), std::log(1e-1)));
      a.push_back(number(std::polar(std::exp(-decay), random.uniform(0, 3))));
      const double re = random.normal();
      c.push_back(number({re, random.normal()}));
    }
    K.resize(channels * length);
    for (T& x : K) x = static_cast<float>(random.normal());
    dK = K;
    da = dc = a;
  }

  View<Complex, 2> matrix(std::vector<Complex>& x) { return {x.data(), {channels, modes}}; }
  View<T, 2> row(std::vector<T>& x) { return {x.data(), {channels, length}}; }
  VandermondeArgs<T> forward() { return {matrix(a), matrix(c), row(K)}; }
  VandermondeGradArgs<T> backward() {
    return {matrix(a), matrix(c), row(dK), matrix(da), matrix(dc)};
  }

  int64_t channels, modes, length;
  std::vector<Complex> a, c, da, dc;
  std::vector<T> K, dK;
};

enum class Pass { kForward, kBackward };

void run(benchmark::State& state, Pass pass) {
  Problem<float> problem(state.range(0), state.range(1), state.range(2));
  Problem<double> exact(state.range(0), state.range(1), state.range(2));
  Workspace workspace(vandermonde_workspace_bytes(problem.length));
  const auto forward = [&] { vandermonde(problem.forward(), workspace); };
  const auto backward = [&] { vandermonde_grad(problem.backward(), workspace); };
  forward();
  backward();
  vandermonde_ref(exact.forward());
  vandermonde_grad_ref(exact.backward());
  const double error =
      std::max({relative_difference(exact.K, problem.K), relative_difference(exact.da, problem.da),
                relative_difference(exact.dc, problem.dc)});
  if (!(error < 1e-5)) {
    state.SkipWithError("the result is wrong");
    return;
  }
  const bool is_forward = pass == Pass::kForward;
  const int64_t multiply_adds = is_forward ? 2 : 6;
  const double operations =
      2 * static_cast<double>(multiply_adds * problem.channels * problem.modes * problem.length);
  longwave::testing::time_against_peak(state, operations,
                                       [&] { is_forward ? forward() : backward(); });
  state.counters["error"] = error;
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"channels", "modes", "length"})->UseRealTime()->Unit(benchmark::kMillisecond);
  bench->Args({256, 32, 1024})->Args({256, 32, 4096})->Args({64, 8, 16384});
}

BENCHMARK_CAPTURE(run, forward, Pass::kForward)->Apply(sizes);
BENCHMARK_CAPTURE(run, backward, Pass::kBackward)->Apply(sizes);

}  // namespace
}  // namespace longwave::ops

BENCHMARK_MAIN();
