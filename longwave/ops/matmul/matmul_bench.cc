// SPDX-License-Identifier: Apache-2.0
//
// Time of the product y = x W^T + b for few rows (a step) and many (prefill), ours beside OpenBLAS.
// Each case is compared with the sum in double first and is not timed if it is wrong.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/matmul/matmul.h"
#include "longwave/ops/matmul/matmul_kernels.h"
#include "longwave/ops/testing/fma_roofline.h"

namespace longwave::ops {
namespace {

std::vector<float> noise(int64_t count, uint64_t stream) {
  Random random(1, stream);
  std::vector<float> result(static_cast<size_t>(count));
  for (float& x : result) x = static_cast<float>(random.uniform(-1, 1));
  return result;
}

struct Problem {
  std::vector<float> x, W, b, y;
  MatmulArgs<float> args;

  Problem(int64_t rows, int64_t in, int64_t out)
      : x(noise(rows * in, 1)), W(noise(out * in, 2)), b(noise(out, 3)), y(noise(rows * out, 4)) {
    args.x = {x.data(), {rows, in}};
    args.W = View<const float, 2>(W.data(), {out, in});
    args.b = {b.data(), {out}};
    args.y = {y.data(), {rows, out}};
  }

  /// Whether a sample of the outputs is the sum in double.
  bool right() const {
    const int64_t in = args.x.extent(1), count = args.y.size();
    const double bound = longwave::testing::Tolerance::sum<float>(in + 1, 2).bound;
    for (int64_t i = 0; i < count; i += 1 + count / 1000) {
      const int64_t r = i / args.y.extent(1), o = i % args.y.extent(1);
      double sum = args.b(o);
      for (int64_t k = 0; k < in; ++k)
        sum += static_cast<double>(args.x(r, k)) * args.W.floats()(o, k);
      if (!(std::abs(sum - args.y(r, o)) <= bound)) return false;
    }
    return true;
  }
};

template <void (*Kernel)(const MatmulArgs<float>&)>
void product(benchmark::State& state) {
  const int64_t rows = state.range(0), in = state.range(1), out = state.range(2);
  Problem problem(rows, in, out);
  Kernel(problem.args);
  if (!problem.right()) {
    state.SkipWithError("wrong result: not timed");
    return;
  }
  longwave::testing::time_against_peak(state, 2.0 * static_cast<double>(rows * in * out),
                                       [&] { Kernel(problem.args); });
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(problem.W.size() * 4));
}

void few(benchmark::internal::Benchmark* bench) {
  for (int64_t rows : {1, 4, 8, 16, 32}) {
    for (int64_t size : {64, 256, 2048}) bench->Args({rows, size, size});
  }
}

BENCHMARK(product<matmul_few_rows_cpu>)->Name("ours/few_rows")->Apply(few)->UseRealTime();
BENCHMARK(product<matmul_many_rows_cpu>)->Name("openblas/few_rows")->Apply(few)->UseRealTime();
BENCHMARK(product<matmul>)
    ->Name("matmul/many_rows")
    ->Args({256, 64, 128})
    ->Args({1024, 256, 512})
    ->Args({4096, 512, 512})
    ->UseRealTime();

}  // namespace
}  // namespace longwave::ops

BENCHMARK_MAIN();
