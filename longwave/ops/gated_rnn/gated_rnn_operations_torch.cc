// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_rnn/gated_rnn_operations_torch.h"

#include "longwave/ops/autocast_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;

/// Part `index` of a row (batch, parts hidden).
Tensor part(const Tensor& row, int64_t index, int64_t hidden, int64_t count = 1) {
  return row.narrow(1, index * hidden, count * hidden);
}

/// What a step that starts a sequence finds at zero: (batch, 1) bool, or undefined.
Tensor starts_at(const Tensor& starts, int64_t t) {
  return starts.defined() ? starts.select(1, t).ne(0).unsqueeze(1) : Tensor();
}

Tensor without(const Tensor& state, const Tensor& starting) {
  return starting.defined() ? state.masked_fill(starting, 0) : state;
}

/// States (batch, time, hidden) as step t found them.
Tensor before(const Tensor& states, const Tensor& first, int64_t t) {
  return t > 0 ? states.select(1, t - 1) : first;
}

}  // namespace

void lstm_scan_of_operations(const LstmScanTensors& args) {
  const torch::NoGradGuard no_grad;
  const int64_t time = args.p.size(1), hidden = args.h.size(1);
  const Tensor map = args.W.t();
  Tensor h = args.h, c = args.c;
  for (int64_t t = 0; t < time; ++t) {
    const Tensor starting = starts_at(args.starts, t);
    h = without(h, starting);
    c = without(c, starting);
    Tensor gates = args.gates.select(1, t), cell = args.cells.select(1, t);
    Tensor out = args.y.select(1, t);
    torch::addmm_out(gates, args.p.select(1, t), h, map);
    part(gates, 0, hidden, 2).sigmoid_();
    part(gates, 2, hidden).tanh_();
    part(gates, 3, hidden).sigmoid_();
    torch::addcmul_out(cell, part(gates, 1, hidden) * c, part(gates, 0, hidden),
                       part(gates, 2, hidden));
    torch::mul_out(out, part(gates, 3, hidden), cell.tanh());
    h = out;
    c = cell;
  }
  if (time == 0) return;
  args.h.copy_(h);
  args.c.copy_(c);
}

void lstm_scan_grad_of_operations(const LstmScanGradTensors& args) {
  const torch::NoGradGuard no_grad;
  const int64_t time = args.dy.size(1), hidden = args.dy.size(2);
  Tensor dh = args.dh, dc = args.dc;
  for (int64_t t = time - 1; t >= 0; --t) {
    const Tensor starting = starts_at(args.starts, t);
    const Tensor gates = args.gates.select(1, t), dp = args.dp.select(1, t);
    const Tensor i = part(gates, 0, hidden), f = part(gates, 1, hidden);
    const Tensor g = part(gates, 2, hidden), o = part(gates, 3, hidden);
    const Tensor found = without(before(args.cells, args.c0, t), starting);
    const Tensor cell = args.cells.select(1, t).tanh();
    dh = dh + args.dy.select(1, t);
    dc = dc + at::tanh_backward(dh * o, cell);
    part(dp, 0, hidden).copy_(at::sigmoid_backward(dc * g, i));
    part(dp, 1, hidden).copy_(at::sigmoid_backward(dc * found, f));
    part(dp, 2, hidden).copy_(at::tanh_backward(dc * i, g));
    part(dp, 3, hidden).copy_(at::sigmoid_backward(dh * cell, o));
    dc = without(dc * f, starting);
    dh = without(torch::mm(dp, args.W), starting);
  }
  if (time == 0) return;
  args.dh.copy_(dh);
  args.dc.copy_(dc);
}

void gru_scan_of_operations(const GruScanTensors& args) {
  const torch::NoGradGuard no_grad;
  const WithoutAutocast as_given;
  const int64_t time = args.p.size(1), hidden = args.h.size(1);
  const Tensor map = args.W.t();
  Tensor h = args.h;
  for (int64_t t = 0; t < time; ++t) {
    h = without(h, starts_at(args.starts, t));
    const Tensor p = args.p.select(1, t), gates = args.gates.select(1, t);
    const Tensor both = part(gates, 0, hidden, 2), m = part(gates, 2, hidden);
    const Tensor n = part(gates, 3, hidden);
    gates.narrow(1, 0, 3 * hidden).copy_(torch::mm(h, map));
    both.add_(part(p, 0, hidden, 2)).sigmoid_();
    m.add_(args.b);
    n.copy_(torch::addcmul(part(p, 2, hidden), part(gates, 0, hidden), m)).tanh_();
    Tensor out = args.y.select(1, t);
    torch::addcmul_out(out, n, part(gates, 1, hidden), h - n);
    h = out;
  }
  if (time > 0) args.h.copy_(h);
}

void gru_scan_grad_of_operations(const GruScanGradTensors& args) {
  const torch::NoGradGuard no_grad;
  const int64_t time = args.dy.size(1), hidden = args.dy.size(2);
  Tensor dh = args.dh;
  for (int64_t t = time - 1; t >= 0; --t) {
    const Tensor starting = starts_at(args.starts, t);
    const Tensor gates = args.gates.select(1, t), d = args.d.select(1, t);
    const Tensor r = part(gates, 0, hidden), z = part(gates, 1, hidden);
    const Tensor m = part(gates, 2, hidden), n = part(gates, 3, hidden);
    const Tensor found = without(before(args.y, args.h0, t), starting);
    dh = dh + args.dy.select(1, t);
    const Tensor dn = at::tanh_backward(dh - dh * z, n);
    part(d, 0, hidden).copy_(at::sigmoid_backward(dn * m, r));
    part(d, 1, hidden).copy_(at::sigmoid_backward(dh * (found - n), z));
    part(d, 2, hidden).copy_(dn * r);
    part(d, 3, hidden).copy_(dn);
    dh = without(torch::addmm(dh * z, d.narrow(1, 0, 3 * hidden), args.W), starting);
  }
  if (time > 0) args.dh.copy_(dh);
}

}  // namespace longwave::ops
