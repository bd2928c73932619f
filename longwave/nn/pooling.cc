// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/pooling.h"

#include <algorithm>

namespace longwave::nn {
namespace {

/// (sum + lost) += x, with `sum` rounded and `lost` what rounding took away.
/// The error of the addition is found as Knuth does; the last two lines renormalise the pair.
void compensated_add(float x, float& sum, float& lost) {
  const float total = sum + x;
  const float added = total - sum;
  lost += (sum - (total - added)) + (x - added);
  sum = total + lost;
  lost -= sum - total;
}

}  // namespace

PoolingKind pooling_kind(std::string_view text) {
  if (text == "last") return PoolingKind::kLast;
  LONGWAVE_ASSERT(text == "mean", "unknown pooling");
  return PoolingKind::kMean;
}

int64_t Pooling::state_size() const {
  return kind_ == PoolingKind::kMean ? 2 * (channels_ + 1) : channels_;
}

void Pooling::add(View<const float, 3> x, View<float, 2> state) const {
  const int64_t time = x.extent(1);
  for (int64_t b = 0; b < x.extent(0); ++b) {
    float* sum = state[b].data();
    float* lost = sum + channels_ + 1;
    if (kind_ == PoolingKind::kLast) {
      if (time > 0) std::copy_n(x[b][time - 1].data(), channels_, sum);
      continue;
    }
    for (int64_t t = 0; t < time; ++t) {
      const float* row = x[b][t].data();
      for (int64_t c = 0; c < channels_; ++c) compensated_add(row[c], sum[c], lost[c]);
      compensated_add(1, sum[channels_], lost[channels_]);
    }
  }
}

void Pooling::pooled(View<const float, 2> state, View<float, 2> y) const {
  for (int64_t b = 0; b < y.extent(0); ++b) {
    const float* sum = state[b].data();
    if (kind_ == PoolingKind::kLast) {
      std::copy_n(sum, channels_, y[b].data());
      continue;
    }
    const float* lost = sum + channels_ + 1;
    const float count = std::max(1.0f, sum[channels_] + lost[channels_]);
    for (int64_t c = 0; c < channels_; ++c) y(b, c) = (sum[c] + lost[c]) / count;
  }
}

}  // namespace longwave::nn
