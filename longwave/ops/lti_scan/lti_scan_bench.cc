// SPDX-License-Identifier: Apache-2.0
// Times lti_scan and its gradient against the multiply-add peak measured in the same run.
// Checks the kernels against the reference first, and refuses to time a wrong one.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <chrono>
#include <vector>

#include "longwave/ops/lti_scan/lti_scan.h"
#include "longwave/ops/lti_scan/lti_scan_ref.h"
#include "longwave/ops/lti_scan/testing/lti_problem.h"
#include "longwave/ops/simd/machine_peak.h"
#include "longwave/ops/testing/difference.h"

namespace longwave::ops {
namespace {

using longwave::testing::relative_difference;
using testing::LtiProblem;
using testing::LtiSize;

bool kernels_are_right() {
  for (const LtiSize& size : {LtiSize{2, 700, 37, 32}, LtiSize{1, 900, 3, 8}}) {
    LtiProblem<float> kernel(size, 1);
    LtiProblem<double> oracle(size, 1);
    kernel.backward();
    kernel.forward();
    lti_scan_backward_ref(oracle.grad_args());
    lti_scan_ref(oracle.args());
    // Sums of about a thousand terms.
    if (relative_difference(oracle.y, kernel.y) > 1e-5 ||
        relative_difference(oracle.du, kernel.du) > 1e-5 ||
        relative_difference(oracle.da, kernel.da) > 1e-5 ||
        relative_difference(oracle.dc, kernel.dc) > 1e-5) {
      return false;
    }
  }
  return true;
}

// Runs `body` as often as the benchmark asks, and says what an element took; `flops` is a mode's.
template <typename Body>
void measure(benchmark::State& state, const LtiSize& size, double flops, const MachinePeak& peak,
             const Body& body) {
  const auto begin = std::chrono::steady_clock::now();
  for (auto _ : state) body();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  const double elements = static_cast<double>(size.batch * size.time * size.channels) *
                          static_cast<double>(state.iterations());
  const double rate = elements * flops * static_cast<double>(size.modes) / taken.count();
  state.counters["ns/element"] = 1e9 * taken.count() / elements;
  state.counters["% of peak"] = 100 * rate / peak.flops;
}

void forward(benchmark::State& state, const LtiSize& size, const MachinePeak& peak) {
  LtiProblem<float> problem(size, 1);
  Workspace workspace(lti_scan_workspace_bytes(size.batch, size.channels, size.modes));
  measure(state, size, 12, peak, [&] { lti_scan(problem.args(), workspace); });
}

void backward(benchmark::State& state, const LtiSize& size, const MachinePeak& peak) {
  LtiProblem<float> problem(size, 1);
  Workspace workspace(lti_scan_backward_workspace_bytes(size.batch, size.channels, size.modes));
  measure(state, size, 38, peak, [&] { lti_scan_backward(problem.grad_args(), workspace); });
}

void step(benchmark::State& state, const LtiSize& size, const MachinePeak& peak) {
  LtiProblem<float> problem(size, 1);
  measure(state, size, 12, peak, [&] { lti_scan_step(problem.args()); });
}

void add_benchmarks(const MachinePeak& peak) {
  const std::vector<LtiSize> shapes = {{8, 1024, 256, 0},
                                       {8, 4096, 256, 0},
                                       {2, 16384, 256, 0},
                                       {1, 1 << 20, 16, 0},
                                       {1, 1 << 20, 1, 0}};
  for (const int64_t n : {4, 16, 64}) {
    for (LtiSize size : shapes) {
      size.modes = n / 2;
      const std::string name =
          fmt::format("N{}/batch{}/channels{}/length{}", n, size.batch, size.channels, size.time);
      benchmark::RegisterBenchmark(("forward/" + name).c_str(),
                                   [=](benchmark::State& state) { forward(state, size, peak); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
      benchmark::RegisterBenchmark(("backward/" + name).c_str(),
                                   [=](benchmark::State& state) { backward(state, size, peak); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
    const LtiSize one{1, 1, 256, n / 2};
    benchmark::RegisterBenchmark(fmt::format("step/N{}/batch1/channels256", n).c_str(),
                                 [=](benchmark::State& state) { step(state, one, peak); })
        ->UseRealTime();
  }
}

}  // namespace
}  // namespace longwave::ops

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (!longwave::ops::kernels_are_right()) {
    fmt::print(stderr, "lti_scan differs from its reference: not timed\n");
    return 1;
  }
  const longwave::ops::MachinePeak peak = longwave::ops::measure_machine_peak();
  fmt::print("multiply-add peak {:.0f} GFLOP/s\n", peak.flops * 1e-9);
  longwave::ops::add_benchmarks(peak);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
