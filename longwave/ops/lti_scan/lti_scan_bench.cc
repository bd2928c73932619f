// SPDX-License-Identifier: Apache-2.0
// Times lti_scan and its gradient against the multiply-add peak measured in the same run.
// Checks the kernels against the reference first, and refuses to time a wrong one.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <complex>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/lti_scan/lti_scan.h"
#include "longwave/ops/lti_scan/lti_scan_ref.h"
#include "longwave/ops/simd/machine_peak.h"

namespace longwave::ops {
namespace {

struct Size {
  int64_t batch, time, channels, modes;
};

// Operands with slowly decaying modes.
struct Problem {
  explicit Problem(const Size& extents) : size(extents) {
    Random random(1);
    const auto [batch, time, channels, modes] = size;
    u.resize(batch * time * channels);
    // A short pattern repeated: drawing millions of normals would take longer than the bench.
    for (size_t i = 0; i < u.size(); ++i) {
      u[i] = i < 4099 ? static_cast<float>(random.normal()) : u[i % 4099];
    }
    dy = y = du = u;
    for (int64_t i = 0; i < channels * modes; ++i) {
      a.push_back(std::polar(static_cast<float>(random.uniform(0.9, 0.999)),
                             static_cast<float>(random.uniform(0.0, 3.0))));
      c.push_back({static_cast<float>(random.normal()), static_cast<float>(random.normal())});
    }
    da = dc = a;
    d.assign(channels, 0.5f);
    dd = d;
    h.assign(batch * channels * modes, 0.0f);
    h0 = dh0 = h;
  }

  LtiScanArgs<float> args() {
    const auto [batch, time, channels, modes] = size;
    return {.u = {u.data(), {batch, time, channels}},
            .a = {a.data(), {channels, modes}},
            .c = {c.data(), {channels, modes}},
            .d = {d.data(), {channels}},
            .h = {h.data(), {batch, channels, modes}},
            .y = {y.data(), {batch, time, channels}}};
  }

  LtiScanGradArgs<float> grad_args() {
    const auto [batch, time, channels, modes] = size;
    return {.u = {u.data(), {batch, time, channels}},
            .a = {a.data(), {channels, modes}},
            .c = {c.data(), {channels, modes}},
            .d = {d.data(), {channels}},
            .h0 = {h0.data(), {batch, channels, modes}},
            .dy = {dy.data(), {batch, time, channels}},
            .dh = {},
            .du = {du.data(), {batch, time, channels}},
            .da = {da.data(), {channels, modes}},
            .dc = {dc.data(), {channels, modes}},
            .dd = {dd.data(), {channels}},
            .dh0 = {dh0.data(), {batch, channels, modes}}};
  }

  size_t workspace_bytes() const {
    return std::max(lti_scan_workspace_bytes(size.batch, size.channels, size.modes),
                    lti_scan_backward_workspace_bytes(size.batch, size.channels, size.modes));
  }

  Size size;
  std::vector<float> u, d, y, dy, du, dd;
  std::vector<std::complex<float>> a, c, h, h0, da, dc, dh0;
};

// The largest difference of the two, relative to the largest number.
template <typename T>
double difference(const std::vector<T>& x, const std::vector<T>& y) {
  double worst = 0, largest = 1e-30;
  for (size_t i = 0; i < x.size(); ++i) {
    worst = std::max<double>(worst, std::abs(x[i] - y[i]));
    largest = std::max<double>(largest, std::abs(x[i]));
  }
  return worst / largest;
}

bool kernels_are_right() {
  for (const Size& size : {Size{2, 700, 37, 32}, Size{1, 900, 3, 8}}) {
    Problem kernel(size), oracle(size);
    Workspace workspace(kernel.workspace_bytes());
    lti_scan(kernel.args(), workspace);
    lti_scan_backward(kernel.grad_args(), workspace);
    lti_scan_ref(oracle.args());
    lti_scan_backward_ref(oracle.grad_args());
    // Both round; states remember about a thousand steps.
    if (difference(oracle.y, kernel.y) > 1e-4 || difference(oracle.du, kernel.du) > 1e-4 ||
        difference(oracle.da, kernel.da) > 1e-3 || difference(oracle.dc, kernel.dc) > 1e-3) {
      return false;
    }
  }
  return true;
}

// Runs `body` as often as the benchmark asks, and says what an element took; `flops` is a mode's.
template <typename Body>
void measure(benchmark::State& state, const Size& size, double flops, const MachinePeak& peak,
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

void forward(benchmark::State& state, const Size& size, const MachinePeak& peak) {
  Problem problem(size);
  Workspace workspace(problem.workspace_bytes());
  measure(state, size, 12, peak, [&] { lti_scan(problem.args(), workspace); });
}

void backward(benchmark::State& state, const Size& size, const MachinePeak& peak) {
  Problem problem(size);
  Workspace workspace(problem.workspace_bytes());
  measure(state, size, 38, peak, [&] { lti_scan_backward(problem.grad_args(), workspace); });
}

void step(benchmark::State& state, const Size& size, const MachinePeak& peak) {
  Problem problem(size);
  measure(state, size, 12, peak, [&] { lti_scan_step(problem.args()); });
}

void add_benchmarks(const MachinePeak& peak) {
  const std::vector<Size> shapes = {{8, 1024, 256, 0},
                                    {8, 4096, 256, 0},
                                    {2, 16384, 256, 0},
                                    {1, 1 << 20, 16, 0},
                                    {1, 1 << 20, 1, 0}};
  for (const int64_t n : {4, 16, 64}) {
    for (Size size : shapes) {
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
    const Size one{1, 1, 256, n / 2};
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
