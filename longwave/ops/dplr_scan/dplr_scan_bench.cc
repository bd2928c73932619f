// SPDX-License-Identifier: Apache-2.0
//
// Time of the recurrent view of S4 for sequences and for single samples. Each case is compared with
// the reference in double on one channel first and is not timed if it is wrong. Operations are
// 8 + 4 rank multiply-adds for each mode and sample.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/dplr_scan/dplr_scan.h"
#include "longwave/ops/testing/difference.h"
#include "longwave/ops/testing/fma_roofline.h"

namespace longwave::ops {
namespace {

struct Extents {
  int64_t batch, time, channels, modes, rank;
};

/// Systems near LegS in type T.
template <typename T>
struct Problem {
  using Complex = std::complex<T>;

  explicit Problem(const Extents& extents) : shape(extents) {
    Random random(4);
    const auto normal = [&] { return static_cast<float>(random.normal()); };
    for (int64_t i = 0; i < shape.channels * shape.modes; ++i) {
      const double n = static_cast<double>(shape.modes - i % shape.modes);
      Lambda.emplace_back(-0.5f, static_cast<float>(-0.26 * n * std::sqrt(n)));
      B.emplace_back(static_cast<float>(std::sqrt(n)), 0.1f * normal());
      const float re = normal();
      C.emplace_back(re, normal());
    }
    for (int64_t i = 0; i < shape.rank * shape.channels * shape.modes; ++i) {
      P.emplace_back(static_cast<float>(std::sqrt(0.5 * static_cast<double>(1 + i % shape.modes))),
                     0.1f * normal());
    }
    for (int64_t c = 0; c < shape.channels; ++c) {
      dt.push_back(static_cast<float>(std::exp(random.uniform(std::log(1e-3), std::log(1e-1)))));
    }
    for (int64_t i = 0; i < shape.batch * shape.time * shape.channels; ++i) u.push_back(normal());
    y.resize(u.size());
    x.resize(shape.batch * shape.channels * shape.modes);
  }

  DplrSystems<T> systems() const {
    const std::array<int64_t, 2> extents{shape.channels, shape.modes};
    return {.Lambda = {Lambda.data(), extents},
            .P = {P.data(), {shape.rank, shape.channels, shape.modes}},
            .B = {B.data(), extents},
            .C = {C.data(), extents},
            .dt = {dt.data(), {shape.channels}},
            .d = {}};
  }
  DplrScanArgs<T> args() {
    return {.u = {u.data(), {shape.batch, shape.time, shape.channels}},
            .x = {x.data(), {shape.batch, shape.channels, shape.modes}},
            .y = {y.data(), {shape.batch, shape.time, shape.channels}},
            .systems = systems()};
  }

  Extents shape;
  std::vector<Complex> Lambda, P, B, C, x;
  std::vector<T> dt, u, y;
};

void run(benchmark::State& state) {
  const Extents extents{state.range(0), state.range(1), state.range(2), state.range(3),
                        state.range(4)};
  Problem<float> problem(extents);
  const DplrScanFactors factors(problem.systems());
  Workspace workspace(dplr_scan_workspace_bytes(extents.modes));
  DplrScanArgs<float> args = problem.args();
  args.factors = &factors;
  dplr_scan(args, workspace);
  Problem<double> exact(extents);
  dplr_scan_ref(exact.args());
  const double error = longwave::testing::relative_difference(exact.y, problem.y);
  if (!(error < 1e-4)) {
    state.SkipWithError("the result is wrong");
    return;
  }
  const double operations =
      2 * static_cast<double>((8 + 4 * extents.rank) * extents.batch * extents.time *
                              extents.channels * extents.modes);
  longwave::testing::time_against_peak(state, operations, [&] { dplr_scan(args, workspace); });
  state.counters["error"] = error;
}

BENCHMARK(run)
    ->ArgNames({"batch", "time", "channels", "modes", "rank"})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond)
    ->Args({2, 512, 256, 32, 1})
    ->Args({1, 512, 256, 32, 1})
    ->Args({2, 512, 256, 32, 2})
    ->Args({1, 1, 256, 32, 1})
    ->Args({8, 1, 256, 32, 1})
    ->Args({1, 512, 1, 32, 1});

}  // namespace
}  // namespace longwave::ops

BENCHMARK_MAIN();
