// SPDX-License-Identifier: Apache-2.0
// Times selective_scan and its gradient against the multiply-add peak measured in the same run.
// Checks the kernels against the reference first, and refuses to time wrong ones.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <vector>

#include "longwave/ops/selective_scan/selective_scan_ref.h"
#include "longwave/ops/selective_scan/testing/selective_problem.h"
#include "longwave/ops/testing/difference.h"
#include "longwave/ops/testing/fma_roofline.h"

namespace longwave::ops {
namespace {

using Problem = testing::SelectiveProblem<float>;
using testing::SelectiveSize;

// What a state and step needs at least: an exponential (9 multiply-adds and like operations that
// cannot be avoided in float32), the recurrence (3) and the readout (1).
constexpr double kForwardOperations = 2 * (9 + 3 + 1);
// The same again without the readout, and 9 on the way back.
constexpr double kBackwardOperations = 2 * (9 + 3 + 1 + 9);

// Whether two arrays agree up to the rounding of sums of 1000 terms.
bool close(const std::vector<double>& expected, const std::vector<float>& got) {
  const double bound = 8 * std::sqrt(1000.0) * std::numeric_limits<float>::epsilon();
  return longwave::testing::relative_difference(expected, got) <= bound;
}

bool kernels_are_right() {
  for (const SelectiveSize& size : {SelectiveSize{2, 300, 37, 1, 16}, {1, 100, 20, 2, 7}}) {
    Problem kernel(size, 1);
    testing::SelectiveProblem<double> oracle(size, 1);
    kernel.both();
    oracle.both();
    const auto expected = oracle.gradients();
    const auto got = kernel.gradients();
    bool right = close(oracle.y, kernel.y);
    for (size_t i = 0; i < got.size(); ++i) {
      right = right && close(*expected[i].second, *got[i].second);
    }
    if (!right) return false;
  }
  return true;
}

template <typename Body>
void measure(benchmark::State& state, const SelectiveSize& size, double operations,
             const Body& body) {
  const double elements = static_cast<double>(size.batch * size.time * size.channels);
  longwave::testing::time_against_peak(
      state, operations * elements * static_cast<double>(size.state), body);
  state.counters["elements/s"] = benchmark::Counter(
      elements * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void add_benchmark(const char* kind, const SelectiveSize& size,
                   void (*body)(benchmark::State&, const SelectiveSize&)) {
  const std::string name = fmt::format("{}/N{}/batch{}/channels{}/length{}", kind, size.state,
                                       size.batch, size.channels, size.time);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { body(state, size); })
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

void forward(benchmark::State& state, const SelectiveSize& size) {
  Problem problem(size, 1);
  Workspace workspace(selective_scan_workspace_bytes(problem.scratch()));
  const auto args = problem.args();
  measure(state, size, kForwardOperations, [&] { selective_scan(args, workspace); });
}

void backward(benchmark::State& state, const SelectiveSize& size) {
  Problem problem(size, 1);
  problem.forward();
  Workspace workspace(selective_scan_backward_workspace_bytes(problem.scratch()));
  const auto args = problem.grad_args();
  measure(state, size, kBackwardOperations, [&] { selective_scan_backward(args, workspace); });
}

void step(benchmark::State& state, const SelectiveSize& size) {
  Problem problem(size, 1);
  const auto args = problem.args();
  measure(state, size, kForwardOperations, [&] { selective_scan_step(args); });
}

void reference(benchmark::State& state, const SelectiveSize& size) {
  Problem problem(size, 1);
  const auto args = problem.args();
  measure(state, size, kForwardOperations, [&] { selective_scan_ref(args); });
}

}  // namespace
}  // namespace longwave::ops

int main(int argc, char** argv) {
  namespace ops = longwave::ops;
  benchmark::Initialize(&argc, argv);
  if (!ops::kernels_are_right()) {
    fmt::print(stderr, "selective_scan differs from its reference: not timed\n");
    return 1;
  }
  for (const ops::SelectiveSize& size : {ops::SelectiveSize{1, 256, 64, 1, 16},
                                         {4, 1024, 512, 1, 16},

                                         {1, 2048, 1536, 1, 16},
                                         {1, 65536, 64, 1, 16},
                                         {4, 1024, 512, 1, 64}}) {
    ops::add_benchmark("forward", size, ops::forward);
    ops::add_benchmark("backward", size, ops::backward);
  }
  ops::add_benchmark("reference", {1, 256, 512, 1, 16}, ops::reference);
  ops::add_benchmark("step", {1, 1, 1536, 1, 16}, ops::step);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
