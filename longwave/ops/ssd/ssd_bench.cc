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

#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/ssd/ssd.h"
#include "longwave/ops/ssd/ssd_ref.h"
#include "longwave/ops/testing/fma_roofline.h"

namespace longwave::ops {
namespace {

// Operands with memories of a few hundred steps at most, and outputs.
template <typename T>
struct Problem {
  explicit Problem(const SsdSize& extents) : size(extents) {
    const auto [batch, time, heads, head_dim, groups, state] = size;
    Random random(1);
    const auto draw = [&](int64_t count, double scale, double shift) {
      std::vector<T> numbers(count);
      // A short pattern repeated: drawing millions of normals would take longer than the bench.
      for (int64_t i = 0; i < count; ++i) {
        numbers[i] =
            i < 4099 ? static_cast<float>(scale * random.normal() + shift) : numbers[i % 4099];
      }
      return numbers;
    };
    x = dy = draw(batch * time * heads * head_dim, 1, 0);
    dt = draw(batch * time * heads, 1, -3);
    A = draw(heads, 0, -1);
    D = dt_bias = draw(heads, 1, 0);
    B = draw(batch * time * groups * state, 0.3, 0);
    C = draw(batch * time * groups * state, 0.3, 0);
    h = draw(batch * heads * head_dim * state, 0.1, 0);
    y = dx = x;
    ddt = dt;
    dA = dD = ddt_bias = A;
    dB = dC = B;
    dh0 = h;
  }

  SsdArgs<T> args() {
    const auto [batch, time, heads, head_dim, groups, state] = size;
    return {.x = {x.data(), {batch, time, heads, head_dim}},
            .dt = {dt.data(), {batch, time, heads}},
            .A = {A.data(), {heads}},
            .B = {B.data(), {batch, time, groups, state}},
            .C = {C.data(), {batch, time, groups, state}},
            .D = {D.data(), {heads, 1}},
            .dt_bias = {dt_bias.data(), {heads}},
            .starts = {},
            .limits = {},
            .h = {h.data(), {batch, heads, head_dim, state}},
            .y = {y.data(), {batch, time, heads, head_dim}}};
  }

  SsdGradArgs<T> grad_args() {
    const auto [batch, time, heads, head_dim, groups, state] = size;
    const SsdArgs<T> in = args();
    return {.x = in.x,
            .dt = in.dt,
            .A = in.A,
            .B = in.B,
            .C = in.C,
            .D = in.D,
            .dt_bias = in.dt_bias,
            .starts = {},
            .limits = {},
            .h0 = in.h,
            .dy = {dy.data(), {batch, time, heads, head_dim}},
            .dh = {},
            .dx = {dx.data(), {batch, time, heads, head_dim}},
            .ddt = {ddt.data(), {batch, time, heads}},
            .dA = {dA.data(), {heads}},
            .dB = {dB.data(), {batch, time, groups, state}},
            .dC = {dC.data(), {batch, time, groups, state}},
            .dD = {dD.data(), {heads, 1}},
            .ddt_bias = {ddt_bias.data(), {heads}},
            .dh0 = {dh0.data(), {batch, heads, head_dim, state}}};
  }

  SsdSize size;
  std::vector<T> x, dt, A, B, C, D, dt_bias, h, y;
  std::vector<T> dy, dx, ddt, dA, dB, dC, dD, ddt_bias, dh0;
};

// The largest difference of the two, relative to the largest number.
double difference(const std::vector<double>& x, const std::vector<float>& y) {
  double worst = 0, largest = 1e-30;
  for (size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, std::isnan(y[i]) ? INFINITY : std::abs(x[i] - y[i]));
    largest = std::max(largest, std::abs(x[i]));
  }
  return worst / largest;
}

bool kernels_are_right() {
  const SsdSize size{2, 200, 4, 40, 2, 72};
  Problem<float> kernel(size);
  Problem<double> oracle(size);
  Workspace workspace(ssd_backward_workspace_bytes(size) + ssd_workspace_bytes(size));
  ssd_backward(kernel.grad_args(), workspace);
  ssd(kernel.args(), workspace);
  ssd_backward_ref(oracle.grad_args());
  ssd_ref(oracle.args());
  // Sums of about a thousand terms of random signs.
  const double bound = 1e-5;
  return difference(oracle.y, kernel.y) < bound && difference(oracle.h, kernel.h) < bound &&
         difference(oracle.dx, kernel.dx) < bound && difference(oracle.dB, kernel.dB) < bound &&
         difference(oracle.dC, kernel.dC) < bound && difference(oracle.ddt, kernel.ddt) < bound &&
         difference(oracle.dA, kernel.dA) < bound && difference(oracle.dD, kernel.dD) < bound &&
         difference(oracle.dh0, kernel.dh0) < bound;
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
  Problem<float> problem(size);
  Workspace workspace(ssd_workspace_bytes(size));
  testing::time_against_peak(state, operations(size, 1, 1, 2),
                             [&] { ssd(problem.args(), workspace); });
}

void backward(benchmark::State& state, const SsdSize& size) {
  Problem<float> problem(size);
  Workspace workspace(ssd_backward_workspace_bytes(size));
  testing::time_against_peak(state, operations(size, 3, 2, 5),
                             [&] { ssd_backward(problem.grad_args(), workspace); });
}

void step(benchmark::State& state, const SsdSize& size) {
  Problem<float> problem(size);
  testing::time_against_peak(state, operations(size, 0, 0, 2), [&] { ssd_step(problem.args()); });
}

void add_benchmarks() {
  for (const SsdSize& size : {SsdSize{4, 1024, 8, 64, 1, 128}, SsdSize{4, 1024, 8, 64, 1, 64},
                              SsdSize{4, 1024, 8, 64, 8, 128}, SsdSize{4, 1024, 8, 64, 1, 16},
                              SsdSize{1, 16384, 24, 64, 1, 128}}) {
    const std::string name =
        fmt::format("batch{}/length{}/heads{}/head_dim{}/groups{}/state{}", size.batch, size.time,
                    size.heads, size.head_dim, size.groups, size.state);
    const auto add = [&](const char* pass, const auto& run, const SsdSize& extents) {
      benchmark::RegisterBenchmark((pass + name).c_str(),
                                   [=](benchmark::State& state) { run(state, extents); })
          ->Unit(benchmark::kMicrosecond)
          ->UseRealTime();
    };
    add("forward/", forward, size);
    add("backward/", backward, size);
    SsdSize one = size;
    one.time = 1;
    add("step/", step, one);
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
