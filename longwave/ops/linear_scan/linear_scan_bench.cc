// SPDX-License-Identifier: Apache-2.0
// Times linear_scan and its gradient against the memory bandwidth measured in the same run.
// Checks the kernels against the reference first, and refuses to time a wrong one.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <chrono>
#include <complex>
#include <string>
#include <type_traits>

#include "longwave/ops/linear_scan/linear_scan.h"
#include "longwave/ops/linear_scan/linear_scan_ref.h"
#include "longwave/ops/linear_scan/testing/linear_problem.h"
#include "longwave/ops/simd/machine_peak.h"
#include "longwave/ops/testing/difference.h"

namespace longwave::ops {
namespace {

using longwave::testing::relative_difference;
using testing::LinearProblem;
using testing::LinearSize;
using testing::Sharing;

// A factor for every element, or one a channel.
constexpr Sharing kVarying{0, 0}, kShared{1, 1};

template <typename T>
using Exact = std::conditional_t<std::is_floating_point_v<T>, double, std::complex<double>>;

template <typename T>
bool kernels_are_right() {
  for (const Sharing& sharing : {kVarying, kShared}) {
    LinearProblem<T> kernel({2, 700, 77}, sharing, 1);
    LinearProblem<Exact<T>> oracle({2, 700, 77}, sharing, 1);
    kernel.both();
    linear_scan_ref(oracle.args());
    linear_scan_backward_ref(oracle.grad_args());
    // Sums of about a thousand terms.
    if (relative_difference(oracle.h, kernel.h) > 1e-5 ||
        relative_difference(oracle.db, kernel.db) > 1e-5 ||
        relative_difference(oracle.da, kernel.da) > 1e-5) {
      return false;
    }
  }
  return true;
}

// Runs `body` as often as the benchmark asks; `arrays` of the extents of b go through memory.
template <typename T, typename Body>
void measure(benchmark::State& state, const LinearSize& size, int arrays, const MachinePeak& peak,
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
void forward(benchmark::State& state, const LinearSize& size, const Sharing& sharing,
             const MachinePeak& peak) {
  LinearProblem<T> problem(size, sharing, 1);
  const int arrays = sharing.steps ? 2 : 3;
  measure<T>(state, size, arrays, peak, [&] { linear_scan(problem.args()); });
}

template <typename T>
void backward(benchmark::State& state, const LinearSize& size, const Sharing& sharing,
              const MachinePeak& peak) {
  LinearProblem<T> problem(size, sharing, 1);
  Workspace workspace(linear_scan_backward_workspace_bytes(size.batch, size.channels));
  const int arrays = sharing.steps ? 3 : 5;
  measure<T>(state, size, arrays, peak,
             [&] { linear_scan_backward(problem.grad_args(), workspace); });
}

template <typename T>
void add_benchmarks(const std::string& type, const MachinePeak& peak) {
  for (const Sharing& sharing : {kVarying, kShared}) {
    for (const LinearSize& shape : {LinearSize{8, 4096, 128}, LinearSize{8, 4096, 16},
                                    LinearSize{1, 1 << 18, 16}, LinearSize{1, 1 << 18, 1}}) {
      const std::string name = fmt::format("{}/{}/batch{}/channels{}/length{}", type,
                                           sharing.steps ? "shared" : "varying", shape.batch,
                                           shape.channels, shape.time);
      benchmark::RegisterBenchmark(
          ("forward/" + name).c_str(),
          [=](benchmark::State& state) { forward<T>(state, shape, sharing, peak); })
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
      benchmark::RegisterBenchmark(
          ("backward/" + name).c_str(),
          [=](benchmark::State& state) { backward<T>(state, shape, sharing, peak); })
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
