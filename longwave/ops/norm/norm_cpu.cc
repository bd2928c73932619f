// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/norm/norm_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/norm/norm_kernels.h"
#include "longwave/ops/rows.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Lanes = hn::ScalableTag<float>;
using Vector = hn::Vec<Lanes>;

/// The sum over i of vector(d, i) for whole vectors and of scalar(i) for the rest.
template <class OnVector, class OnScalar>
HWY_INLINE float row_sum(int64_t count, OnVector vector, OnScalar scalar) {
  const Lanes d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  Vector first = hn::Zero(d), second = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    first = hn::Add(first, vector(i));
    second = hn::Add(second, vector(i + lanes));
  }
  if (i + lanes <= count) {
    first = hn::Add(first, vector(i));
    i += lanes;
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(first, second)));
  for (; i < count; ++i) sum += scalar(i);
  return sum;
}

/// What a row kernel works on.
struct Row {
  int64_t count;
  const float* x;
  float mean;
  float inverse;
};

float mean_of(int64_t count, const float* x) {
  const Lanes d;
  const float sum = row_sum(
      count, [=](int64_t i) HWY_ATTR { return hn::LoadU(d, x + i); },
      [=](int64_t i) { return x[i]; });
  return sum / static_cast<float>(count);
}

float mean_square_of(int64_t count, const float* x, float mean) {
  const Lanes d;
  const Vector center = hn::Set(d, mean);
  const float sum = row_sum(
      count,
      [=](int64_t i) HWY_ATTR {
        const Vector v = hn::Sub(hn::LoadU(d, x + i), center);
        return hn::Mul(v, v);
      },
      [=](int64_t i) { return (x[i] - mean) * (x[i] - mean); });
  return sum / static_cast<float>(count);
}

void normalise_row(const Row& row, const float* w, const float* b, float* y) {
  for (int64_t c = 0; c < row.count; ++c) y[c] = (row.x[c] - row.mean) * row.inverse * w[c];
  if (b == nullptr) return;
  for (int64_t c = 0; c < row.count; ++c) y[c] += b[c];
}

void row_norm_rows(const RowNormArgs<float>& args, int64_t begin, int64_t end) {
  const int64_t channels = args.x.extent(1);
  for (int64_t r = begin; r < end; ++r) {
    Row row{channels, args.x[r].data(), 0, 0};
    if (args.kind == RowNorm::kLayer) row.mean = mean_of(channels, row.x);
    row.inverse = 1.0f / std::sqrt(mean_square_of(channels, row.x, row.mean) + args.epsilon);
    normalise_row(row, args.w.data(), args.b.data(), args.y[r].data());
    if (!args.moments.absent()) {
      args.moments(r, 0) = row.mean;
      args.moments(r, 1) = row.inverse;
    }
  }
}

/// Gradients of one row; adds to dw and db (which may be null).
void row_norm_grad_row(const Row& row, RowNorm kind, const float* w, const float* dy, float* dx,
                       float* dw, float* db) {
  const Lanes d;
  const Vector center = hn::Set(d, row.mean), inverse = hn::Set(d, row.inverse);
  const float* x = row.x;
  const float product = row_sum(
      row.count,
      [=](int64_t i) HWY_ATTR {
        const Vector xhat = hn::Mul(hn::Sub(hn::LoadU(d, x + i), center), inverse);
        return hn::Mul(hn::Mul(hn::LoadU(d, dy + i), hn::LoadU(d, w + i)), xhat);
      },
      [&](int64_t i) { return dy[i] * w[i] * ((x[i] - row.mean) * row.inverse); });
  float sum = 0;
  if (kind == RowNorm::kLayer) {
    sum = row_sum(
        row.count,
        [=](int64_t i) HWY_ATTR { return hn::Mul(hn::LoadU(d, dy + i), hn::LoadU(d, w + i)); },
        [=](int64_t i) { return dy[i] * w[i]; });
  }
  const float scale = 1.0f / static_cast<float>(row.count);
  const float mean_sum = sum * scale, mean_product = product * scale;
  if (db != nullptr) {
    for (int64_t c = 0; c < row.count; ++c) db[c] += dy[c];
  }
  for (int64_t c = 0; c < row.count; ++c) {
    const float xhat = (x[c] - row.mean) * row.inverse, g = dy[c];
    dw[c] += g * xhat;
    dx[c] = row.inverse * (g * w[c] - (mean_sum + xhat * mean_product));
  }
}

void row_norm_grad_rows(const RowNormGradArgs<float>& args, float* sums, int64_t begin,
                        int64_t end) {
  const int64_t channels = args.x.extent(1);
  float* dw = sums;
  float* db = args.db.absent() ? nullptr : sums + channels;
  std::fill_n(sums, 2 * channels, 0.0f);
  for (int64_t r = begin; r < end; ++r) {
    const Row row{channels, args.x[r].data(), args.moments(r, 0), args.moments(r, 1)};
    row_norm_grad_row(row, args.kind, args.w.data(), args.dy[r].data(), args.dx[r].data(), dw, db);
  }
}

/// Mean and centred square sum of rows [begin, end) in sums[0] and sums[1]; returns their number.
/// Blocks of rows are read twice while they lie in the cache, then joined to what came before.
int64_t channel_moments_rows(const ChannelMomentsArgs<float>& args, float* sums, int64_t begin,
                             int64_t end) {
  constexpr int64_t kBlock = 32;
  const int64_t channels = args.x.extent(1);
  float* HWY_RESTRICT mean = sums;
  float* HWY_RESTRICT square = sums + channels;
  float* HWY_RESTRICT block_mean = sums + 2 * channels;
  float* HWY_RESTRICT block_square = sums + 3 * channels;
  std::fill_n(sums, 2 * channels, 0.0f);
  int64_t before = 0;
  for (int64_t first = begin; first < end; first += kBlock) {
    const int64_t last = std::min(first + kBlock, end);
    std::fill_n(block_mean, 2 * channels, 0.0f);
    int64_t count = 0;
    for (int64_t r = first; r < last; ++r) {
      if (!args.valid.empty() && args.valid[r] == 0) continue;
      const float* x = args.x[r].data();
      for (int64_t c = 0; c < channels; ++c) block_mean[c] += x[c];
      ++count;
    }
    if (count == 0) continue;
    const float share = 1.0f / static_cast<float>(count);
    for (int64_t c = 0; c < channels; ++c) block_mean[c] *= share;
    for (int64_t r = first; r < last; ++r) {
      if (!args.valid.empty() && args.valid[r] == 0) continue;
      const float* x = args.x[r].data();
      for (int64_t c = 0; c < channels; ++c) {
        block_square[c] += (x[c] - block_mean[c]) * (x[c] - block_mean[c]);
      }
    }
    const float total = static_cast<float>(before + count);
    const float weight = static_cast<float>(count) / total;
    const float cross = static_cast<float>(before) * weight;
    for (int64_t c = 0; c < channels; ++c) {
      const float delta = block_mean[c] - mean[c];
      mean[c] += delta * weight;
      square[c] += block_square[c] + delta * delta * cross;
    }
    before += count;
  }
  return before;
}

void channel_affine_rows(const ChannelAffineArgs<float>& args, int64_t begin, int64_t end) {
  const float* scale = args.scale.data();
  const float* shift = args.shift.data();
  for (int64_t r = begin; r < end; ++r) {
    const float* x = args.x[r].data();
    float* y = args.y[r].data();
    for (int64_t c = 0; c < args.x.extent(1); ++c) y[c] = x[c] * scale[c] + shift[c];
  }
}

/// sums[0] = sum of dy, sums[1] = sum of dy xhat over rows [begin, end).
void batch_norm_sums(const BatchNormGradArgs<float>& args, float* sums, int64_t begin,
                     int64_t end) {
  const int64_t channels = args.x.extent(1);
  const float* mean = args.mean.data();
  const float* inverse = args.inverse.data();
  float* HWY_RESTRICT sum = sums;
  float* HWY_RESTRICT product = sums + channels;
  std::fill_n(sums, 2 * channels, 0.0f);
  for (int64_t r = begin; r < end; ++r) {
    const float* x = args.x[r].data();
    const float* dy = args.dy[r].data();
    for (int64_t c = 0; c < channels; ++c) {
      sum[c] += dy[c];
      product[c] += dy[c] * ((x[c] - mean[c]) * inverse[c]);
    }
  }
}

void batch_norm_rows(const BatchNormGradArgs<float>& args, const BatchNormSlopes& slopes,
                     int64_t begin, int64_t end) {
  const int64_t channels = args.x.extent(1);
  const float* mean = args.mean.data();
  const float* inverse = args.inverse.data();
  for (int64_t r = begin; r < end; ++r) {
    const float* x = args.x[r].data();
    const float* dy = args.dy[r].data();
    float* dx = args.dx[r].data();
    if (!args.valid.empty() && args.valid[r] == 0) {
      for (int64_t c = 0; c < channels; ++c) dx[c] = slopes.gain[c] * dy[c];
      continue;
    }
    for (int64_t c = 0; c < channels; ++c) {
      const float xhat = (x[c] - mean[c]) * inverse[c];
      dx[c] = slopes.gain[c] * (dy[c] - (slopes.sum[c] + xhat * slopes.product[c]));
    }
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {
namespace {

HWY_EXPORT(row_norm_rows);
HWY_EXPORT(row_norm_grad_rows);
HWY_EXPORT(channel_moments_rows);
HWY_EXPORT(channel_affine_rows);
HWY_EXPORT(batch_norm_sums);
HWY_EXPORT(batch_norm_rows);

/// Calls body(piece, begin, end) for the fixed pieces of the rows, several at a time if it pays.
template <typename Body>
void over_pieces(int64_t rows, int64_t channels, const Body& body) {
  const int64_t grain = rows * channels < kRowsGrain ? kNormPieces : 1;
  parallel_for(kNormPieces, grain, [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece) {
      body(piece, rows * piece / kNormPieces, rows * (piece + 1) / kNormPieces);
    }
  });
}

/// Adds row `index` of every piece's sums in order.
void join(std::span<const float> sums, int64_t index, View<float, 1> out) {
  const int64_t channels = out.extent(0);
  for (int64_t c = 0; c < channels; ++c) {
    float sum = 0;
    for (int64_t piece = 0; piece < kNormPieces; ++piece) {
      sum += sums[(piece * kNormSums + index) * channels + c];
    }
    out(c) = sum;
  }
}

}  // namespace

void row_norm_cpu(const RowNormArgs<float>& args) {
  over_rows(args.x.extent(0), args.x.extent(1), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(row_norm_rows)(args, begin, end);
  });
}

void row_norm_grad_cpu(const RowNormGradArgs<float>& args, Workspace& workspace) {
  const int64_t channels = args.x.extent(1);
  const Workspace::Scope scope(workspace);
  const std::span<float> sums = workspace.take<float>(kNormPieces * kNormSums * channels);
  over_pieces(args.x.extent(0), channels, [&](int64_t piece, int64_t begin, int64_t end) {
    float* own = sums.data() + piece * kNormSums * channels;
    HWY_DYNAMIC_DISPATCH(row_norm_grad_rows)(args, own, begin, end);
  });
  join(sums, 0, args.dw);
  if (!args.db.absent()) join(sums, 1, args.db);
}

void channel_moments_cpu(const ChannelMomentsArgs<float>& args, Workspace& workspace) {
  const int64_t channels = args.x.extent(1);
  const Workspace::Scope scope(workspace);
  const std::span<float> sums = workspace.take<float>(kNormPieces * kNormSums * channels);
  std::array<int64_t, kNormPieces> counts{};
  over_pieces(args.x.extent(0), channels, [&](int64_t piece, int64_t begin, int64_t end) {
    float* own = sums.data() + piece * kNormSums * channels;
    counts[piece] = HWY_DYNAMIC_DISPATCH(channel_moments_rows)(args, own, begin, end);
  });
  for (int64_t c = 0; c < channels; ++c) {
    double mean = 0, square = 0, before = 0;
    for (int64_t piece = 0; piece < kNormPieces; ++piece) {
      if (counts[piece] == 0) continue;
      const float* own = sums.data() + piece * kNormSums * channels;
      const double count = static_cast<double>(counts[piece]), total = before + count;
      const double delta = own[c] - mean;
      mean += delta * count / total;
      square += own[channels + c] + delta * delta * before * count / total;
      before = total;
    }
    args.mean(c) = static_cast<float>(mean);
    args.var(c) = static_cast<float>(square / before);
  }
}

void channel_affine_cpu(const ChannelAffineArgs<float>& args) {
  over_rows(args.x.extent(0), args.x.extent(1), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(channel_affine_rows)(args, begin, end);
  });
}

void batch_norm_grad_cpu(const BatchNormGradArgs<float>& args, Workspace& workspace) {
  const int64_t rows = args.x.extent(0), channels = args.x.extent(1);
  const Workspace::Scope scope(workspace);
  const std::span<float> sums = workspace.take<float>(kNormPieces * kNormSums * channels);
  over_pieces(rows, channels, [&](int64_t piece, int64_t begin, int64_t end) {
    float* own = sums.data() + piece * kNormSums * channels;
    HWY_DYNAMIC_DISPATCH(batch_norm_sums)(args, own, begin, end);
  });
  join(sums, 0, args.db);
  join(sums, 1, args.dw);
  const int64_t valid =
      args.valid.empty() ? rows : rows - std::ranges::count(args.valid, uint8_t{0});
  const float share = 1.0f / static_cast<float>(valid);
  float* gain = sums.data();
  float* sum = gain + channels;
  float* product = sum + channels;
  for (int64_t c = 0; c < channels; ++c) {
    gain[c] = args.w(c) * args.inverse(c);
    sum[c] = args.db(c) * share;
    product[c] = args.dw(c) * share;
  }
  over_rows(rows, channels, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(batch_norm_rows)(args, {gain, sum, product}, begin, end);
  });
}

}  // namespace longwave::ops
#endif
