// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <type_traits>

#include "longwave/base/half.h"
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

/// Vectors of weights as float32.
template <typename Weight>
HWY_INLINE hn::Vec<hn::ScalableTag<float>> load_weights(const Weight* at) {
  const hn::ScalableTag<float> d;
  if constexpr (std::is_same_v<Weight, float>) {
    return hn::LoadU(d, at);
  } else {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<Weight, decltype(d)>(), at));
  }
}

template <typename Weight>
HWY_INLINE float number_of(const Weight* at) {
  if constexpr (std::is_same_v<Weight, float>) {
    return *at;
  } else {
    const uint16_t bits = *reinterpret_cast<const uint16_t*>(at);
    return std::is_same_v<Weight, hwy::float16_t> ? from_float16(bits) : from_bfloat16(bits);
  }
}

/// Products of `Rows` rows of x with `Outputs` rows of W. Each has one register of partial sums,
/// filled in the same order whatever the tile, so that a row alone equals the row in a batch.
template <typename Weight, int Rows, int Outputs>
HWY_ATTR void tile(const MatmulArgs<float>& args, int64_t row, int64_t output) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t count = args.x.extent(1), whole = count / lanes * lanes;
  const int64_t x_stride = args.x.stride(0);
  const int64_t W_stride = static_cast<int64_t>(args.W.row_bytes / sizeof(Weight));
  const float* HWY_RESTRICT x = args.x.data() + row * x_stride;
  const Weight* HWY_RESTRICT W = reinterpret_cast<const Weight*>(args.W.row(output));
  hn::Vec<decltype(d)> sums[Rows][Outputs];
  for (auto& line : sums) {
    for (auto& sum : line) sum = hn::Zero(d);
  }
  for (int64_t i = 0; i < whole; i += lanes) {
    for (int o = 0; o < Outputs; ++o) {
      const auto weight = load_weights(W + o * W_stride + i);
      for (int r = 0; r < Rows; ++r) {
        sums[r][o] = hn::MulAdd(hn::LoadU(d, x + r * x_stride + i), weight, sums[r][o]);
      }
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int o = 0; o < Outputs; ++o) {
      float sum = hn::GetLane(hn::SumOfLanes(d, sums[r][o]));
      for (int64_t i = whole; i < count; ++i) {
        sum += x[r * x_stride + i] * number_of(W + o * W_stride + i);
      }
      float& y = args.y(row + r, output + o);
      if (!args.b.absent()) sum += args.b(output + o);
      y = args.accumulate == Accumulate::kAdd ? y + sum : sum;
    }
  }
}

/// Outputs [o, o + Outputs) of every row, `Rows` at a time: W comes from memory once.
template <typename Weight, int Rows, int Outputs>
HWY_ATTR void outputs_of(const MatmulArgs<float>& args, int64_t o) {
  const int64_t rows = args.x.extent(0);
  int64_t r = 0;
  for (; r + Rows <= rows; r += Rows) tile<Weight, Rows, Outputs>(args, r, o);
  if constexpr (Rows > 2) {
    if (r + 2 <= rows) {
      tile<Weight, 2, Outputs>(args, r, o);
      r += 2;
    }
  }
  if (r < rows) tile<Weight, 1, Outputs>(args, r, o);
}

template <typename Weight, int Rows, int Outputs>
HWY_ATTR void outputs(const MatmulArgs<float>& args, int64_t begin, int64_t end) {
  int64_t o = begin;
  for (; o + Outputs <= end; o += Outputs) outputs_of<Weight, Rows, Outputs>(args, o);
  for (; o < end; ++o) outputs_of<Weight, Rows, 1>(args, o);
}

template <typename Weight>
HWY_ATTR void rows_of(const MatmulArgs<float>& args, int64_t begin, int64_t end) {
  // As many sums as the registers hold.
  constexpr int kRows = HWY_MAX_BYTES >= 64 ? 4 : 2;
  if (args.x.extent(0) == 1) return outputs<Weight, 1, 8>(args, begin, end);
  outputs<Weight, kRows, 4>(args, begin, end);
}

/// Outputs [begin, end) of every row.
HWY_ATTR void few_rows(const MatmulArgs<float>& args, int64_t begin, int64_t end) {
  if (args.W.dtype == DType::kFloat16) return rows_of<hwy::float16_t>(args, begin, end);
  if (args.W.dtype == DType::kBFloat16) return rows_of<hwy::bfloat16_t>(args, begin, end);
  rows_of<float>(args, begin, end);
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(few_rows);

void matmul_few_rows_cpu(const MatmulArgs<float>& args) {
  // Below this many multiply-adds, waking a second thread costs more than it saves.
  constexpr int64_t kGrain = 1 << 15;
  const int64_t work = std::max<int64_t>(args.x.extent(0) * args.x.extent(1), 1);
  parallel_for(args.W.rows, std::max<int64_t>(kGrain / work, 8), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(few_rows)(args, begin, end);
  });
}

}  // namespace longwave::ops
#endif
