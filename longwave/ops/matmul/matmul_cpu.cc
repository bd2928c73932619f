// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/matmul/matmul_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/matmul/matmul_cpu.cc"
#include <hwy/foreach_target.h>
// Highway asks for this order.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Products of `Rows` rows of x with `Outputs` rows of W. Each has one register of partial sums,
/// filled in the same order whatever the tile, so that a row alone equals the row in a batch.
template <int Rows, int Outputs>
HWY_ATTR void tile(const MatmulArgs<float>& args, int64_t row, int64_t output) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t count = args.x.extent(1), whole = count / lanes * lanes;
  const int64_t x_stride = args.x.stride(0), W_stride = args.W.stride(0);
  const float* HWY_RESTRICT x = args.x.data() + row * x_stride;
  const float* HWY_RESTRICT W = args.W.data() + output * W_stride;
  hn::Vec<decltype(d)> sums[Rows][Outputs];
  for (auto& line : sums) {
    for (auto& sum : line) sum = hn::Zero(d);
  }
  for (int64_t i = 0; i < whole; i += lanes) {
    for (int o = 0; o < Outputs; ++o) {
      const auto weight = hn::LoadU(d, W + o * W_stride + i);
      for (int r = 0; r < Rows; ++r) {
        sums[r][o] = hn::MulAdd(hn::LoadU(d, x + r * x_stride + i), weight, sums[r][o]);
      }
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int o = 0; o < Outputs; ++o) {
      float sum = hn::GetLane(hn::SumOfLanes(d, sums[r][o]));
      for (int64_t i = whole; i < count; ++i) sum += x[r * x_stride + i] * W[o * W_stride + i];
      float& y = args.y(row + r, output + o);
      if (!args.b.absent()) sum += args.b(output + o);
      y = args.accumulate == Accumulate::kAdd ? y + sum : sum;
    }
  }
}

template <int Rows, int Outputs>
HWY_ATTR void outputs(const MatmulArgs<float>& args, int64_t row, int64_t begin, int64_t end) {
  int64_t o = begin;
  for (; o + Outputs <= end; o += Outputs) tile<Rows, Outputs>(args, row, o);
  for (; o < end; ++o) tile<Rows, 1>(args, row, o);
}

/// Outputs [begin, end) of every row; W is read once a pair of rows.
HWY_ATTR void few_rows(const MatmulArgs<float>& args, int64_t begin, int64_t end) {
  const int64_t rows = args.x.extent(0);
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2) outputs<2, 4>(args, r, begin, end);
  for (; r < rows; ++r) outputs<1, 8>(args, r, begin, end);
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(few_rows);

void matmul_few_rows_cpu(const MatmulArgs<float>& args) {
  // Below this many multiply-adds, waking a second thread costs more than it saves.
  constexpr int64_t kGrain = 1 << 18;
  const int64_t work = std::max<int64_t>(args.x.extent(0) * args.x.extent(1), 1);
  parallel_for(args.W.extent(0), std::max<int64_t>(kGrain / work, 8),
               [&](int64_t begin, int64_t end) {
                 HWY_DYNAMIC_DISPATCH(few_rows)(args, begin, end);
               });
}

}  // namespace longwave::ops
#endif
