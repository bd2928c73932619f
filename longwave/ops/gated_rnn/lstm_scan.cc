// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/ops/gated_rnn/gated_rnn.h"
#include "longwave/ops/gated_rnn/sequence_blocks.h"
#include "longwave/ops/matmul/matmul.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/rows.h"

namespace longwave::ops {
namespace {

/// One row of gates before their functions to h and c; `y` is where h goes.
template <typename T>
void lstm_cell(std::span<T> gates, std::span<T> c, std::span<T> y) {
  const size_t n = c.size();
  // tanh(x) = 2 sigmoid(2 x) - 1: one call serves all four gates.
  for (size_t k = 2 * n; k < 3 * n; ++k) gates[k] *= 2;
  activate<T>(Activation::kSigmoid, gates, gates);
  for (size_t k = 2 * n; k < 3 * n; ++k) gates[k] = 2 * gates[k] - 1;
  const T *i = gates.data(), *f = i + n, *g = f + n, *o = g + n;
  for (size_t k = 0; k < n; ++k) {
    c[k] = f[k] * c[k] + i[k] * g[k];
    y[k] = c[k];
  }
  tanh_in_place(y);
  for (size_t k = 0; k < n; ++k) y[k] *= o[k];
}

/// What one row of one step asks of the gates: (dh, dc) in, dc of the step before and dp out.
template <typename T>
struct LstmCellGrad {
  std::span<const T> gates, c, before;  // `before` is empty where a sequence starts
  std::span<T> tanh_c, dh, dc, dp;
};

template <typename T>
void lstm_cell_grad(const LstmCellGrad<T>& cell) {
  const size_t n = cell.c.size();
  std::ranges::copy(cell.c, cell.tanh_c.begin());
  tanh_in_place(cell.tanh_c);
  const T *i = cell.gates.data(), *f = i + n, *g = f + n, *o = g + n;
  T *di = cell.dp.data(), *df = di + n, *dg = df + n, *dout = dg + n;
  for (size_t k = 0; k < n; ++k) {
    const T dh = cell.dh[k], tc = cell.tanh_c[k];
    const T dc = cell.dc[k] + dh * o[k] * (1 - tc * tc);
    dout[k] = dh * tc * o[k] * (1 - o[k]);
    di[k] = dc * g[k] * i[k] * (1 - i[k]);
    dg[k] = dc * i[k] * (1 - g[k] * g[k]);
    df[k] = cell.before.empty() ? T(0) : dc * cell.before[k] * f[k] * (1 - f[k]);
    cell.dc[k] = cell.before.empty() ? T(0) : dc * f[k];
  }
}

template <typename T>
void check(const LstmScanArgs<T>& args) {
  const int64_t batch = args.p.extent(0), time = args.p.extent(1), hidden = args.h.extent(1);
  require_shape("lstm_scan", "p", args.p, {batch, time, 4 * hidden});
  require_shape("lstm_scan", "W", args.W, {4 * hidden, hidden});
  require_shape("lstm_scan", "h", args.h, {batch, hidden});
  require_shape("lstm_scan", "c", args.c, {batch, hidden});
  require_shape("lstm_scan", "y", args.y, {batch, time, hidden});
  require_shape("lstm_scan", "gates", args.gates, {batch, time, 4 * hidden});
  if (!args.cells.absent()) require_shape("lstm_scan", "cells", args.cells, {batch, time, hidden});
  if (!args.starts.absent()) require_shape("lstm_scan", "starts", args.starts, {batch, time});
  require(adjacent(args.p, args.h, args.c, args.y, args.gates, args.cells), "lstm_scan",
          "the last extents must be adjacent in memory");
}

template <typename T>
void check(const LstmScanGradArgs<T>& args) {
  const int64_t batch = args.dy.extent(0), time = args.dy.extent(1), hidden = args.dy.extent(2);
  require_shape("lstm_scan_grad", "gates", args.gates, {batch, time, 4 * hidden});
  require_shape("lstm_scan_grad", "cells", args.cells, {batch, time, hidden});
  require_shape("lstm_scan_grad", "c0", args.c0, {batch, hidden});
  require_shape("lstm_scan_grad", "Wt", args.Wt, {hidden, 4 * hidden});
  require_shape("lstm_scan_grad", "dh", args.dh, {batch, hidden});
  require_shape("lstm_scan_grad", "dc", args.dc, {batch, hidden});
  require_shape("lstm_scan_grad", "dp", args.dp, {batch, time, 4 * hidden});
  if (!args.starts.absent()) require_shape("lstm_scan_grad", "starts", args.starts, {batch, time});
  require(adjacent(args.gates, args.cells, args.c0, args.dy, args.dh, args.dc, args.dp),
          "lstm_scan_grad", "the last extents must be adjacent in memory");
}

}  // namespace

template <typename T>
void lstm_scan(const LstmScanArgs<T>& args) {
  check(args);
  over_sequences(args.p.extent(0), [&](int64_t first, int64_t count) {
    const View<T, 2> h = args.h.slice(0, first, count);
    const View<T, 3> gates = args.gates.slice(0, first, count);
    for (int64_t t = 0; t < args.p.extent(1); ++t) {
      for (int64_t b = first; b < first + count; ++b) {
        if (starts_at(args.starts, b, t)) {
          std::ranges::fill(row(args.h, b), T(0));
          std::ranges::fill(row(args.c, b), T(0));
        }
        std::ranges::copy(row(args.p, b, t), row(args.gates, b, t).begin());
      }
      matmul(MatmulArgs<T>{
          .x = h, .W = args.W, .b = {}, .y = at_step(gates, t), .accumulate = Accumulate::kAdd});
      for (int64_t b = first; b < first + count; ++b) {
        const std::span<T> c = row(args.c, b), y = row(args.y, b, t);
        lstm_cell(row(args.gates, b, t), c, y);
        if (!args.cells.absent()) std::ranges::copy(c, row(args.cells, b, t).begin());
        std::ranges::copy(y, row(args.h, b).begin());
      }
    }
  });
}

template <typename T>
size_t lstm_scan_grad_workspace_bytes(int64_t batch, int64_t hidden) {
  return Workspace::bytes_for<T>(batch * hidden);
}

template <typename T>
void lstm_scan_grad(const LstmScanGradArgs<T>& args, Workspace& workspace) {
  check(args);
  const Workspace::Scope scope(workspace);
  const int64_t batch = args.dy.extent(0), hidden = args.dy.extent(2);
  const View<T, 2> tanh_c(workspace.take<T>(batch * hidden).data(), {batch, hidden});
  over_sequences(batch, [&](int64_t first, int64_t count) {
    const View<const T, 3> dp = args.dp.slice(0, first, count);
    const View<T, 2> dh_block = args.dh.slice(0, first, count);
    for (int64_t t = args.dy.extent(1) - 1; t >= 0; --t) {
      for (int64_t b = first; b < first + count; ++b) {
        const std::span<T> dh = row(args.dh, b);
        const std::span<const T> dy = row(args.dy, b, t);
        for (size_t k = 0; k < dh.size(); ++k) dh[k] += dy[k];
        std::span<const T> before;
        if (!starts_at(args.starts, b, t)) {
          before = t > 0 ? row(args.cells, b, t - 1) : row(args.c0, b);
        }
        lstm_cell_grad<T>({.gates = row(args.gates, b, t),
                           .c = row(args.cells, b, t),
                           .before = before,
                           .tanh_c = row(tanh_c, b),
                           .dh = dh,
                           .dc = row(args.dc, b),
                           .dp = row(args.dp, b, t)});
      }
      matmul(MatmulArgs<T>{.x = at_step(dp, t), .W = args.Wt, .b = {}, .y = dh_block});
      for (int64_t b = first; b < first + count; ++b) {
        if (starts_at(args.starts, b, t)) std::ranges::fill(row(args.dh, b), T(0));
      }
    }
  });
}

template void lstm_scan(const LstmScanArgs<float>&);
template void lstm_scan(const LstmScanArgs<double>&);
template size_t lstm_scan_grad_workspace_bytes<float>(int64_t, int64_t);
template size_t lstm_scan_grad_workspace_bytes<double>(int64_t, int64_t);
template void lstm_scan_grad(const LstmScanGradArgs<float>&, Workspace&);
template void lstm_scan_grad(const LstmScanGradArgs<double>&, Workspace&);

}  // namespace longwave::ops
