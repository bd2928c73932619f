// SPDX-License-Identifier: Apache-2.0
// Times ssd and its gradient against the multiply-add peak measured in the same run.
// Checks the kernels against the reference first, and refuses to time a wrong one.
//
// Operations are those that the chunked form needs at least, with Q = kSsdChunk steps a chunk and
// c = (Q + 1) / 2 steps that a step sees of its own chunk; two operations a multiply-add, a step:
//
//   forward    C B^T: groups c state              W X: heads c head_dim
//              C H and the next H: 2 heads head_dim state
//   backward   C B^T, dC, dB in the chunk: 3 groups c state
//              dy x, W^T dy in the chunk: 2 heads c head_dim
//              states and their gradients again, dx, dB, dC from them: 5 heads head_dim state
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <string>

#include "longwave/ops/ssd/ssd.h"
#include "longwave/ops/ssd/ssd_ref.h"
#include "longwave/ops/ssd/testing/ssd_problem.h"
#include "longwave/ops/testing/difference.h"
#include "longwave/ops/testing/fma_roofline.h"

namespace longwave::ops {
namespace {

using longwave::testing::relative_difference;
using testing::SsdProblem;

bool kernels_are_right() {
  const SsdSize size{2, 200, 4, 40, 2, 72};
  SsdProblem<float> kernel(size, {}, 1);
  SsdProblem<double> oracle(size, {}, 1);
  kernel.backward();
  kernel.forward();
  ssd_backward_ref(oracle.grad_args());
  ssd_ref(oracle.args());
  // Sums of about a thousand terms of random signs.
  const double bound = 1e-5;
  return relative_difference(oracle.y, kernel.y) < bound &&
         relative_difference(oracle.h, kernel.h) < bound &&
         relative_difference(oracle.dx, kernel.dx) < bound &&
         relative_difference(oracle.dB, kernel.dB) < bound &&
         relative_difference(oracle.dC, kernel.dC) < bound &&
         relative_difference(oracle.ddt, kernel.ddt) < bound &&
         relative_difference(oracle.dA, kernel.dA) < bound &&
         relative_difference(oracle.dD, kernel.dD) < bound &&
         relative_difference(oracle.dh0, kernel.dh0) < bound;
}

// Multiply-adds with coefficients: of products within a chunk a group and a head, and of products
// with the state.
double operations(const SsdSize& size, double group, double head, double memory) {
  const double c = (kSsdChunk + 1) / 2.0, state = static_cast<double>(size.state);
  const double heads = static_cast<double>(size.heads), groups = static_cast<double>(size.groups);
  const double head_dim = static_cast<double>(size.head_dim);
  const double step = group * groups * c * state + heads * head_dim * (head * c + memory * state);
  return 2 * step * static_cast<double>(size.batch * size.time);
}

void forward(benchmark::State& state, const SsdSize& size) {
  SsdProblem<float> problem(size, {}, 1);
  Workspace workspace(ssd_workspace_bytes(size));
  longwave::testing::time_against_peak(state, operations(size, 1, 1, 2),
                                       [&] { ssd(problem.args(), workspace); });
}

void backward(benchmark::State& state, const SsdSize& size) {
  SsdProblem<float> problem(size, {}, 1);
  Workspace workspace(ssd_backward_workspace_bytes(size));
  longwave::testing::time_against_peak(state, operations(size, 3, 2, 5),
                                       [&] { ssd_backward(problem.grad_args(), workspace); });
}

void step(benchmark::State& state, const SsdSize& size) {
  SsdProblem<float> problem(size, {}, 1);
  longwave::testing::time_against_peak(state, operations(size, 0, 0, 2),
                                       [&] { ssd_step(problem.args()); });
}

void add_benchmarks() {
  for (const SsdSize& size : {SsdSize{4, 1024, 8, 64, 1, 128}, SsdSize{4, 1024, 8, 64, 1, 64},
                              SsdSize{4, 1024, 8, 64, 8, 128}, SsdSize{4, 1024, 8, 64, 1, 16},
                              SsdSize{1, 16384, 24, 64, 1, 128}}) {
    const auto add = [](const char* pass, const auto& run, const SsdSize& extents) {
      const std::string name = fmt::format(
          "{}/batch{}/length{}/heads{}/head_dim{}/groups{}/state{}", pass, extents.batch,
          extents.time, extents.heads, extents.head_dim, extents.groups, extents.state);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [=](benchmark::State& state) { run(state, extents); })
          ->Unit(benchmark::kMicrosecond)
          ->UseRealTime();
    };
    add("forward", forward, size);
    add("backward", backward, size);
    SsdSize one = size;
    one.time = 1;
    add("step", step, one);
  }
}

}  // namespace
}  // namespace longwave::ops

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (!longwave::ops::kernels_are_right()) {
    fmt::print(stderr, "ssd differs from its reference: not timed\n");
    return 1;
  }
  longwave::ops::add_benchmarks();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
