// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "longwave/ops/norm/norm_kernels.h"

namespace longwave::ops {
namespace {

bool is_valid(std::span<const uint8_t> valid, int64_t row) {
  return valid.empty() || valid[row] != 0;
}

}  // namespace

template <typename T>
void row_norm_ref(const RowNormArgs<T>& args) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  for (int64_t r = 0; r < rows; ++r) {
    T mean = 0, square = 0;
    if (args.kind == RowNorm::kLayer) {
      for (int64_t c = 0; c < channels; ++c) mean += args.x(r, c);
      mean /= T(channels);
    }
    for (int64_t c = 0; c < channels; ++c) {
      square += (args.x(r, c) - mean) * (args.x(r, c) - mean);
    }
    const T inverse = T(1) / std::sqrt(square / T(channels) + args.epsilon);
    for (int64_t c = 0; c < channels; ++c) {
      const T b = args.b.absent() ? T(0) : args.b(c);
      args.y(r, c) = (args.x(r, c) - mean) * inverse * args.w(c) + b;
    }
    if (!args.moments.absent()) {
      args.moments(r, 0) = mean;
      args.moments(r, 1) = inverse;
    }
  }
}

template <typename T>
void row_norm_grad_ref(const RowNormGradArgs<T>& args) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  for (int64_t c = 0; c < channels; ++c) {
    args.dw(c) = 0;
    if (!args.db.absent()) args.db(c) = 0;
  }
  for (int64_t r = 0; r < rows; ++r) {
    const T mean = args.moments(r, 0), inverse = args.moments(r, 1);
    T sum = 0, product = 0;
    for (int64_t c = 0; c < channels; ++c) {
      const T xhat = (args.x(r, c) - mean) * inverse, g = args.dy(r, c) * args.w(c);
      sum += g;
      product += g * xhat;
      args.dw(c) += args.dy(r, c) * xhat;
      if (!args.db.absent()) args.db(c) += args.dy(r, c);
    }
    if (args.kind == RowNorm::kRms) sum = 0;
    for (int64_t c = 0; c < channels; ++c) {
      const T xhat = (args.x(r, c) - mean) * inverse, g = args.dy(r, c) * args.w(c);
      args.dx(r, c) = inverse * (g - (sum + xhat * product) / T(channels));
    }
  }
}

template <typename T>
void channel_moments_ref(const ChannelMomentsArgs<T>& args) {
  for (int64_t c = 0; c < args.x.extent(1); ++c) {
    T mean = 0, square = 0, count = 0;
    for (int64_t r = 0; r < args.x.extent(0); ++r) {
      if (!is_valid(args.valid, r)) continue;
      mean += args.x(r, c);
      count += 1;
    }
    mean /= count;
    for (int64_t r = 0; r < args.x.extent(0); ++r) {
      if (is_valid(args.valid, r)) square += (args.x(r, c) - mean) * (args.x(r, c) - mean);
    }
    args.mean(c) = mean;
    args.var(c) = square / count;
  }
}

template <typename T>
void channel_affine_ref(const ChannelAffineArgs<T>& args) {
  for (int64_t r = 0; r < args.x.extent(0); ++r) {
    for (int64_t c = 0; c < args.x.extent(1); ++c) {
      args.y(r, c) = args.x(r, c) * args.scale(c) + args.shift(c);
    }
  }
}

template <typename T>
void batch_norm_grad_ref(const BatchNormGradArgs<T>& args) {
  const int64_t rows = args.x.extent(0);
  for (int64_t c = 0; c < args.x.extent(1); ++c) {
    const T mean = args.mean(c), inverse = args.inverse(c);
    T sum = 0, product = 0, count = 0;
    for (int64_t r = 0; r < rows; ++r) {
      sum += args.dy(r, c);
      product += args.dy(r, c) * (args.x(r, c) - mean) * inverse;
      count += is_valid(args.valid, r) ? T(1) : T(0);
    }
    for (int64_t r = 0; r < rows; ++r) {
      const T xhat = (args.x(r, c) - mean) * inverse;
      const T through = is_valid(args.valid, r) ? (sum + xhat * product) / count : T(0);
      args.dx(r, c) = args.w(c) * inverse * (args.dy(r, c) - through);
    }
    args.dw(c) = product;
    args.db(c) = sum;
  }
}

template void row_norm_ref(const RowNormArgs<float>&);
template void row_norm_ref(const RowNormArgs<double>&);
template void row_norm_grad_ref(const RowNormGradArgs<float>&);
template void row_norm_grad_ref(const RowNormGradArgs<double>&);
template void channel_moments_ref(const ChannelMomentsArgs<float>&);
template void channel_moments_ref(const ChannelMomentsArgs<double>&);
template void channel_affine_ref(const ChannelAffineArgs<float>&);
template void channel_affine_ref(const ChannelAffineArgs<double>&);
template void batch_norm_grad_ref(const BatchNormGradArgs<float>&);
template void batch_norm_grad_ref(const BatchNormGradArgs<double>&);

}  // namespace longwave::ops
