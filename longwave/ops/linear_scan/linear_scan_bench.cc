// SPDX-License-Identifier: Apache-2.0
// Times linear_scan and its gradient against the memory bandwidth measured in the same run.
// Checks the kernels against the reference first, and refuses to time a wrong one.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <chrono>
#include <complex>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/linear_scan/linear_scan.h"
#include "longwave/ops/linear_scan/linear_scan_ref.h"
#include "longwave/ops/simd/machine_peak.h"

namespace longwave::ops {
namespace {

enum class Factor { kEveryStep, kShared };

struct Size {
  int64_t batch, time, channels;
  Factor factor;
};

template <typename T>
struct Problem {
  explicit Problem(const Size& extents)
      : size(extents),
        rows(extents.factor == Factor::kShared ? 1 : extents.batch),
        steps(extents.factor == Factor::kShared ? 1 : extents.time) {
    Random random(1);
    // Short patterns repeated: drawing millions of numbers would take longer than the bench.
    std::vector<T> poles, noise;
    for (int i = 0; i < 4099; ++i) {
      const double radius = random.uniform(0.9, 0.999), angle = random.uniform(0.0, 3.0);
      const double re = random.normal(), im = random.normal();
      if constexpr (std::is_floating_point_v<T>) {
        poles.push_back(static_cast<T>(radius));
        noise.push_back(static_cast<T>(re));
      } else {
        poles.push_back(T(std::polar(radius, angle)));
        noise.push_back(T(std::complex<double>(re, im)));
      }
    }
    a.resize(rows * steps * size.channels);
    b.resize(size.batch * size.time * size.channels);
    for (size_t i = 0; i < a.size(); ++i) a[i] = poles[i % poles.size()];
    for (size_t i = 0; i < b.size(); ++i) b[i] = noise[i % noise.size()];
    h = dh = db = b;
    da = a;
    h0.assign(size.batch * size.channels, T(0));
    final = dh0 = h0;
  }

  LinearScanArgs<T> args() {
    const int64_t batch = size.batch, time = size.time, channels = size.channels;
    return {.a = {a.data(), {rows, steps, channels}},
            .b = {b.data(), {batch, time, channels}},
            .h0 = {h0.data(), {batch, channels}},
            .h = {h.data(), {batch, time, channels}},
            .final = {final.data(), {batch, channels}}};
  }

  LinearScanGradArgs<T> grad_args() {
    const int64_t batch = size.batch, time = size.time, channels = size.channels;
    return {.a = {a.data(), {rows, steps, channels}},
            .h = {h.data(), {batch, time, channels}},
            .h0 = {h0.data(), {batch, channels}},
            .dh = {dh.data(), {batch, time, channels}},
            .dfinal = {},
            .da = {da.data(), {rows, steps, channels}},
            .db = {db.data(), {batch, time, channels}},
            .dh0 = {dh0.data(), {batch, channels}}};
  }

  Size size;
  int64_t rows, steps;
  std::vector<T> a, b, h0, h, final, dh, da, db, dh0;
};

template <typename T>
double difference(const std::vector<T>& x, const std::vector<T>& y) {
  double worst = 0, largest = 1e-30;
  for (size_t i = 0; i < x.size(); ++i) {
    worst = std::max<double>(worst, std::abs(x[i] - y[i]));
    largest = std::max<double>(largest, std::abs(x[i]));
  }
  return worst / largest;
}

template <typename T>
bool kernels_are_right() {
  for (const Factor factor : {Factor::kEveryStep, Factor::kShared}) {
    Problem<T> kernel({2, 700, 77, factor}), oracle({2, 700, 77, factor});
    Workspace workspace(linear_scan_backward_workspace_bytes(2, 77));
    linear_scan(kernel.args());
    linear_scan_backward(kernel.grad_args(), workspace);
    linear_scan_ref(oracle.args());
    linear_scan_backward_ref(oracle.grad_args());
    // Both round; states remember about a thousand steps.
    if (difference(oracle.h, kernel.h) > 1e-4 || difference(oracle.db, kernel.db) > 1e-4 ||
        difference(oracle.da, kernel.da) > 1e-3) {
      return false;
    }
  }
  return true;
}

// Runs `body` as often as the benchmark asks; `arrays` of the extents of b go through memory.
template <typename T, typename Body>
void measure(benchmark::State& state, const Size& size, int arrays, const MachinePeak& peak,
             const Body& body) {
  const auto begin = std::chrono::steady_clock::now();
  for (auto _ : state) body();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  const double elements = static_cast<double>(size.batch * size.time * size.channels) *
                          static_cast<double>(state.iterations());
  const double bytes = elements * arrays * static_cast<double>(sizeof(T));
  state.counters["ns/element"] = 1e9 * taken.count() / elements;
  state.counters["% of bandwidth"] = 100 * bytes / taken.count() / peak.bytes_per_second;
}

template <typename T>
void forward(benchmark::State& state, const Size& size, const MachinePeak& peak) {
  Problem<T> problem(size);
  const int arrays = size.factor == Factor::kShared ? 2 : 3;
  measure<T>(state, size, arrays, peak, [&] { linear_scan(problem.args()); });
}

template <typename T>
void backward(benchmark::State& state, const Size& size, const MachinePeak& peak) {
  Problem<T> problem(size);
  Workspace workspace(linear_scan_backward_workspace_bytes(size.batch, size.channels));
  const int arrays = size.factor == Factor::kShared ? 3 : 5;
  measure<T>(state, size, arrays, peak,
             [&] { linear_scan_backward(problem.grad_args(), workspace); });
}

template <typename T>
void add_benchmarks(const std::string& type, const MachinePeak& peak) {
  for (const Factor factor : {Factor::kEveryStep, Factor::kShared}) {
    for (const Size& shape : {Size{8, 4096, 128, factor}, Size{8, 4096, 16, factor},
                              Size{1, 1 << 18, 16, factor}, Size{1, 1 << 18, 1, factor}}) {
      const std::string name = fmt::format("{}/{}/batch{}/channels{}/length{}", type,
                                           factor == Factor::kShared ? "shared" : "varying",
                                           shape.batch, shape.channels, shape.time);
      benchmark::RegisterBenchmark(("forward/" + name).c_str(),
                                   [=](benchmark::State& state) { forward<T>(state, shape, peak); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
      benchmark::RegisterBenchmark(
          ("backward/" + name).c_str(),
          [=](benchmark::State& state) { backward<T>(state, shape, peak); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  }
}

}  // namespace
}  // namespace longwave::ops

int main(int argc, char** argv) {
  using namespace longwave::ops;
  benchmark::Initialize(&argc, argv);
  if (!kernels_are_right<float>() || !kernels_are_right<std::complex<float>>()) {
    fmt::print(stderr, "linear_scan differs from its reference: not timed\n");
    return 1;
  }
  const MachinePeak peak = measure_machine_peak();
  fmt::print("memory bandwidth {:.1f} GB/s\n", peak.bytes_per_second * 1e-9);
  add_benchmarks<float>("real", peak);
  add_benchmarks<std::complex<float>>("complex", peak);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
