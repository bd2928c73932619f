// SPDX-License-Identifier: Apache-2.0
//
// Time of S4's kernel, forward and backward. Each case is compared with the plain sums in double on
// one channel first and is not timed if it is wrong. Operations are those of the matrix products
// over modes: two for each mode, node, real weight and part.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/dplr_kernel/dplr_kernel.h"
#include "longwave/ops/testing/difference.h"
#include "longwave/ops/testing/fma_roofline.h"

namespace longwave::ops {
namespace {

using longwave::testing::relative_difference;

template <typename T>
using Numbers = std::vector<std::complex<T>>;

/// A system near LegS: real parts -1/2, imaginary parts that grow like it, in type T.
template <typename T>
struct Problem {
  Problem(int64_t width, int64_t mode_count, int64_t low_rank, int64_t taps)
      : channels(width), modes(mode_count), rank(low_rank), length(taps) {
    Random random(2);
    const auto normal = [&] { return static_cast<float>(random.normal()); };
    for (int64_t i = 0; i < channels * modes; ++i) {
      const double n = static_cast<double>(modes - i % modes);
      const auto frequency = static_cast<float>(-0.26 * n * std::sqrt(n));
      Lambda.emplace_back(-0.5f, frequency);
      B.emplace_back(static_cast<float>(std::sqrt(n)) + 0.1f * normal(), 0.1f * normal());
      const float re = normal();
      Ct.emplace_back(re, normal());
    }
    for (int64_t i = 0; i < rank * channels * modes; ++i) {
      // As in LegT, the vectors of a rank share no modes.
      const bool is_own = i % rank == i / (channels * modes);
      const auto size = static_cast<float>(std::sqrt(0.5 * static_cast<double>(1 + i % modes)));
      P.emplace_back(is_own ? size : 0.0f, 0.0f);
    }
    for (int64_t c = 0; c < channels; ++c) {
      dt.push_back(static_cast<float>(std::exp(random.uniform(std::log(1e-3), std::log(1e-1)))));
    }
    for (int64_t i = 0; i < channels * length; ++i) dK.push_back(normal());
    K.resize(dK.size());
    dLambda = dB = dCt = Lambda;
    dP = P;
    ddt = dt;
  }

  View<std::complex<T>, 2> matrix(Numbers<T>& x) { return {x.data(), {channels, modes}}; }
  View<std::complex<T>, 3> tensor(Numbers<T>& x) { return {x.data(), {rank, channels, modes}}; }
  DplrKernelArgs<T> forward(const DplrKernelPlan& plan) {
    return {.Lambda = matrix(Lambda),
            .P = tensor(P),
            .B = matrix(B),
            .Ct = matrix(Ct),
            .dt = {dt.data(), {channels}},
            .K = {K.data(), {channels, length}},
            .plan = &plan};
  }
  DplrKernelGradArgs<T> backward(const DplrKernelPlan& plan) {
    return {.Lambda = matrix(Lambda),
            .P = tensor(P),
            .B = matrix(B),
            .Ct = matrix(Ct),
            .dt = {dt.data(), {channels}},
            .dK = {dK.data(), {channels, length}},
            .dLambda = matrix(dLambda),
            .dP = tensor(dP),
            .dB = matrix(dB),
            .dCt = matrix(dCt),
            .ddt = {ddt.data(), {channels}},
            .plan = &plan};
  }

  int64_t channels, modes, rank, length;
  Numbers<T> Lambda, P, B, Ct, dLambda, dP, dB, dCt;
  std::vector<T> dt, dK, K, ddt;
};

/// Errors of the first channel, relative to the largest number of their kind.
struct Errors {
  double K, grad;
};
Errors errors(Problem<float>& fast) {
  Problem<double> slow(1, fast.modes, fast.rank, fast.length);
  for (int64_t n = 0; n < fast.modes; ++n) {
    slow.Lambda[n] = fast.Lambda[n];
    slow.B[n] = fast.B[n];
    slow.Ct[n] = fast.Ct[n];
    for (int64_t r = 0; r < fast.rank; ++r) {
      slow.P[r * fast.modes + n] = fast.P[r * fast.channels * fast.modes + n];
    }
  }
  slow.dt[0] = fast.dt[0];
  std::copy_n(fast.dK.begin(), fast.length, slow.dK.begin());
  const DplrKernelPlan plan(fast.length);
  dplr_kernel_ref(slow.forward(plan));
  dplr_kernel_grad_ref(slow.backward(plan));
  Numbers<float> dP;
  for (int64_t r = 0; r < fast.rank; ++r) {
    const auto row = fast.dP.begin() + r * fast.channels * fast.modes;
    dP.insert(dP.end(), row, row + fast.modes);
  }
  return {relative_difference(slow.K, fast.K),
          std::max({relative_difference(slow.dLambda, fast.dLambda),
                    relative_difference(slow.dB, fast.dB), relative_difference(slow.dCt, fast.dCt),
                    relative_difference(slow.dP, dP)})};
}

enum class Pass { kForward, kBackward };

void run(benchmark::State& state, Pass pass) {
  Problem<float> problem(state.range(0), state.range(1), state.range(2), state.range(3));
  const DplrKernelPlan plan(problem.length);
  Workspace workspace(
      dplr_kernel_workspace_bytes(problem.length, problem.channels, problem.modes, problem.rank));
  const auto forward = [&] { dplr_kernel(problem.forward(plan), workspace); };
  const auto backward = [&] { dplr_kernel_grad(problem.backward(plan), workspace); };
  forward();
  backward();
  const Errors error = errors(problem);
  if (!(error.K < 1e-5 && error.grad < 1e-3)) {
    state.SkipWithError("the result is wrong");
    return;
  }
  const bool is_forward = pass == Pass::kForward;
  const int64_t weights = 2 * (problem.rank + 1) * (problem.rank + 1);
  const int64_t products = is_forward ? 1 : 3;
  const double operations = static_cast<double>(products * 2 * 2 * weights * problem.channels *
                                                problem.modes * plan.nodes());
  longwave::testing::time_against_peak(state, operations,
                                       [&] { is_forward ? forward() : backward(); });
  state.counters["error"] = is_forward ? error.K : error.grad;
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"channels", "modes", "rank", "length"})
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  bench->Args({256, 32, 1, 1024})->Args({256, 32, 1, 4096})->Args({256, 32, 2, 4096});
  bench->Args({64, 8, 1, 4096})->Args({16, 32, 1, 16384});
}

BENCHMARK_CAPTURE(run, forward, Pass::kForward)->Apply(sizes);
BENCHMARK_CAPTURE(run, backward, Pass::kBackward)->Apply(sizes);

}  // namespace
}  // namespace longwave::ops

BENCHMARK_MAIN();
