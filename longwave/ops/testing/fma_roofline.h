// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>

#include "longwave/ops/simd/fma_peak.h"

namespace longwave::testing {

/// Runs the benchmark loop over `body`, which does `operations` floating-point operations, and
/// reports them per second and in percent of the multiply-add peak measured in the same run.
template <typename Body>
void time_against_peak(benchmark::State& state, double operations, const Body& body) {
  static const double peak = ops::measured_fma_peak();
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) body();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const double rate = operations * static_cast<double>(state.iterations()) / elapsed.count();
  state.counters["GFLOP/s"] = rate * 1e-9;
  state.counters["percent_of_peak"] = 100 * rate / peak;
}

}  // namespace longwave::testing
