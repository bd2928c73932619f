// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/ops/gated_rnn/gated_rnn.h"
#include "longwave/ops/gated_rnn/sequence_blocks.h"
#include "longwave/ops/matmul/matmul.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/rows.h"

namespace longwave::ops {
namespace {

/// One row: gates hold the products r, z, m in and r, z, m, n out; h the state in and out.
template <typename T>
void gru_cell(std::span<const T> p, std::span<const T> b, std::span<T> gates, std::span<T> h) {
  const size_t size = h.size();
  T *r = gates.data(), *z = r + size, *m = z + size, *n = m + size;
  for (size_t k = 0; k < 2 * size; ++k) r[k] += p[k];
  const std::span<T> sigmoids(r, 2 * size);
  activate<T>(Activation::kSigmoid, sigmoids, sigmoids);
  for (size_t k = 0; k < size; ++k) {
    m[k] += b[k];
    n[k] = p[2 * size + k] + r[k] * m[k];
  }
  tanh_in_place(std::span<T>(n, size));
  for (size_t k = 0; k < size; ++k) h[k] = n[k] + z[k] * (h[k] - n[k]);
}

/// One row of one step: dh in is that of h[t], out the direct part of that of h[t-1].
template <typename T>
void gru_cell_grad(std::span<const T> gates, std::span<const T> before, std::span<T> dh,
                   std::span<T> d) {
  const size_t size = dh.size();
  const T *r = gates.data(), *z = r + size, *m = z + size, *n = m + size;
  T *dr = d.data(), *dz = dr + size, *dm = dz + size, *dn = dm + size;
  for (size_t k = 0; k < size; ++k) {
    const T h = before.empty() ? T(0) : before[k];
    dn[k] = dh[k] * (1 - z[k]) * (1 - n[k] * n[k]);
    dz[k] = dh[k] * (h - n[k]) * z[k] * (1 - z[k]);
    dm[k] = dn[k] * r[k];
    dr[k] = dn[k] * m[k] * r[k] * (1 - r[k]);
    dh[k] *= z[k];
  }
}

template <typename T>
void check(const GruScanArgs<T>& args) {
  const int64_t batch = args.p.extent(0), time = args.p.extent(1), hidden = args.h.extent(1);
  require_shape("gru_scan", "p", args.p, {batch, time, 3 * hidden});
  require_shape("gru_scan", "W", args.W, {3 * hidden, hidden});
  require_shape("gru_scan", "b", args.b, {hidden});
  require_shape("gru_scan", "h", args.h, {batch, hidden});
  require_shape("gru_scan", "y", args.y, {batch, time, hidden});
  require_shape("gru_scan", "gates", args.gates, {batch, time, 4 * hidden});
  if (!args.starts.absent()) require_shape("gru_scan", "starts", args.starts, {batch, time});
  require(adjacent(args.p, args.b, args.h, args.y, args.gates), "gru_scan",
          "the last extents must be adjacent in memory");
}

template <typename T>
void check(const GruScanGradArgs<T>& args) {
  const int64_t batch = args.dy.extent(0), time = args.dy.extent(1), hidden = args.dy.extent(2);
  require_shape("gru_scan_grad", "gates", args.gates, {batch, time, 4 * hidden});
  require_shape("gru_scan_grad", "y", args.y, {batch, time, hidden});
  require_shape("gru_scan_grad", "h0", args.h0, {batch, hidden});
  require_shape("gru_scan_grad", "Wt", args.Wt, {hidden, 3 * hidden});
  require_shape("gru_scan_grad", "dh", args.dh, {batch, hidden});
  require_shape("gru_scan_grad", "d", args.d, {batch, time, 4 * hidden});
  if (!args.starts.absent()) require_shape("gru_scan_grad", "starts", args.starts, {batch, time});
  require(adjacent(args.gates, args.y, args.h0, args.dy, args.dh, args.d), "gru_scan_grad",
          "the last extents must be adjacent in memory");
}

}  // namespace

template <typename T>
void gru_scan(const GruScanArgs<T>& args) {
  check(args);
  const int64_t hidden = args.h.extent(1);
  const std::span<const T> bias(args.b.data(), static_cast<size_t>(hidden));
  over_sequences(args.p.extent(0), [&](int64_t first, int64_t count) {
    const View<T, 2> h = args.h.slice(0, first, count);
    const View<T, 3> products = args.gates.slice(0, first, count).slice(2, 0, 3 * hidden);
    for (int64_t t = 0; t < args.p.extent(1); ++t) {
      for (int64_t b = first; b < first + count; ++b) {
        if (starts_at(args.starts, b, t)) std::ranges::fill(row(args.h, b), T(0));
      }
      matmul(MatmulArgs<T>{.x = h, .W = args.W, .b = {}, .y = at_step(products, t)});
      for (int64_t b = first; b < first + count; ++b) {
        gru_cell(row(args.p, b, t), bias, row(args.gates, b, t), row(args.h, b));
        std::ranges::copy(row(args.h, b), row(args.y, b, t).begin());
      }
    }
  });
}

template <typename T>
void gru_scan_grad(const GruScanGradArgs<T>& args) {
  check(args);
  const int64_t hidden = args.dy.extent(2);
  over_sequences(args.dy.extent(0), [&](int64_t first, int64_t count) {
    const View<const T, 3> products = args.d.slice(0, first, count).slice(2, 0, 3 * hidden);
    const View<T, 2> dh_block = args.dh.slice(0, first, count);
    for (int64_t t = args.dy.extent(1) - 1; t >= 0; --t) {
      for (int64_t b = first; b < first + count; ++b) {
        const std::span<T> dh = row(args.dh, b);
        const std::span<const T> dy = row(args.dy, b, t);
        for (size_t k = 0; k < dh.size(); ++k) dh[k] += dy[k];
        std::span<const T> before;
        if (!starts_at(args.starts, b, t)) {
          before = t > 0 ? row(args.y, b, t - 1) : row(args.h0, b);
        }
        gru_cell_grad(row(args.gates, b, t), before, dh, row(args.d, b, t));
      }
      matmul(MatmulArgs<T>{.x = at_step(products, t),
                           .W = args.Wt,
                           .b = {},
                           .y = dh_block,
                           .accumulate = Accumulate::kAdd});
      for (int64_t b = first; b < first + count; ++b) {
        if (starts_at(args.starts, b, t)) std::ranges::fill(row(args.dh, b), T(0));
      }
    }
  });
}

template void gru_scan(const GruScanArgs<float>&);
template void gru_scan(const GruScanArgs<double>&);
template void gru_scan_grad(const GruScanGradArgs<float>&);
template void gru_scan_grad(const GruScanGradArgs<double>&);

}  // namespace longwave::ops
