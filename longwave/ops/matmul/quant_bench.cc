// SPDX-License-Identifier: Apache-2.0
//
// How fast weights of each type are read by the product of one row (decode) beside the read
// bandwidth of memory measured in the same run, and the product of many rows (prefill).
//
// The weights of a decode case are larger than caches: several matrices of the shape, one after the
// other, as the layers of a model. Each case is compared with the sum in double first and is not
// timed if it is wrong.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/matmul/matmul.h"
#include "longwave/ops/quant/panels.h"
#include "longwave/ops/quant/quant.h"
#include "longwave/ops/simd/read_bandwidth.h"

namespace longwave::ops {
namespace {

struct Weight {
  DType dtype;
  Layout layout = Layout::kRows;
};

constexpr Weight kWeights[] = {{DType::kFloat32},
                               {DType::kFloat16},
                               {DType::kBFloat16},
                               {DType::kQ8_0},
                               {DType::kQ8_0, Layout::kPanels},
                               {DType::kQ4_0},
                               {DType::kQ4_0, Layout::kPanels},
                               {DType::kQ4_K},
                               {DType::kQ4_K, Layout::kPanels},
                               {DType::kQ6_K},
                               {DType::kQ6_K, Layout::kPanels}};

/// Bytes of all weights of a decode case.
constexpr size_t kDecodeBytes = size_t{256} << 20;

std::vector<float> noise(int64_t count, uint64_t stream) {
  Random random(1, stream);
  std::vector<float> result(static_cast<size_t>(count));
  for (float& x : result) x = static_cast<float>(random.uniform(-1, 1));
  return result;
}

struct Problem {
  std::vector<float> x, y;
  std::vector<Tensor> layers;
  MatmulArgs<float> args;

  Problem(const Weight& weight, int64_t rows, int64_t in, int64_t out, size_t least_bytes)
      : x(noise(rows * in, 1)), y(static_cast<size_t>(rows * out)) {
    Tensor dense(DType::kFloat32, {out, in});
    std::ranges::copy(noise(out * in, 2), dense.elements<float>().begin());
    layers.push_back(quantize(dense, weight.dtype));
    if (weight.layout == Layout::kPanels) layers[0] = in_panels(layers[0]);
    while (layers.size() * layers[0].bytes() < least_bytes) layers.push_back(layers[0].clone());
    args.x = {x.data(), {rows, in}};
    args.y = {y.data(), {rows, out}};
    run(layers[0]);
  }

  void run(const Tensor& W) {
    args.W = {W.dtype(), W.shape()[0], W.shape()[1], W.raw()};
    args.W.layout = W.layout();
    matmul(args);
  }

  /// Whether a sample of the outputs is the sum in double, up to the rounding that matmul.h states.
  bool right() const {
    const int64_t in = args.x.extent(1), count = args.y.size();
    const bool rounds = is_blocked(args.W.dtype);
    for (int64_t i = 0; i < count; i += 1 + count / 100) {
      const int64_t r = i / args.y.extent(1), o = i % args.y.extent(1);
      double sum = 0, weights = 0;
      for (int64_t k = 0; k < in; ++k) {
        const double w = dequantize_ref(args.W, o, k);
        sum += args.x(r, k) * w;
        weights += std::abs(w);
      }
      const double bound = longwave::testing::Tolerance::sum<float>(in + 1, weights).bound +
                           (rounds ? weights / 254 * (1 + 1e-5) : 0);
      if (!(std::abs(sum - args.y(r, o)) <= bound)) return false;
    }
    return true;
  }
};

void decode(benchmark::State& state, const Weight& weight, int64_t in, int64_t out) {
  Problem problem(weight, 1, in, out, kDecodeBytes);
  if (!problem.right()) {
    state.SkipWithError("wrong result: not timed");
    return;
  }
  // Both before and after: the machine's bandwidth is not the same from second to second.
  double peak = measured_read_bandwidth(), best = 1e30;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    for (const Tensor& W : problem.layers) problem.run(W);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count());
  }
  peak = std::max(peak, measured_read_bandwidth());
  const double bytes = static_cast<double>(problem.layers.size() * problem.layers[0].bytes());
  const double total = bytes * static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(total * 1e-9, benchmark::Counter::kIsRate);
  state.counters["best_GB/s"] = bytes / best * 1e-9;
  state.counters["read_GB/s"] = peak * 1e-9;
  state.counters["best_percent_of_read"] = 100 * bytes / best / peak;
}

void prefill(benchmark::State& state, const Weight& weight, int64_t in, int64_t out) {
  constexpr int64_t kRows = 512;
  Problem problem(weight, kRows, in, out, 0);
  if (!problem.right()) {
    state.SkipWithError("wrong result: not timed");
    return;
  }
  for (auto _ : state) problem.run(problem.layers[0]);
  const double operations = 2.0 * static_cast<double>(kRows * in * out);
  state.counters["GFLOP/s"] = benchmark::Counter(
      operations * 1e-9 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void add(const std::string& kind, void (*body)(benchmark::State&, const Weight&, int64_t, int64_t),
         const Weight& weight, int64_t in, int64_t out) {
  const std::string name = kind + "/" + std::string(name_of(weight.dtype)) +
                           (weight.layout == Layout::kPanels ? "/panels" : "") + "/in" +
                           std::to_string(in) + "/out" + std::to_string(out);
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) { body(state, weight, in, out); })
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

void add_all() {
  for (const Weight& weight : kWeights) {
    add("decode", decode, weight, 2048, 8192);
    add("decode", decode, weight, 4096, 2048);
    add("decode", decode, weight, 768, 3072);
    add("prefill", prefill, weight, 2048, 8192);
  }
}

}  // namespace
}  // namespace longwave::ops

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  longwave::ops::add_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
