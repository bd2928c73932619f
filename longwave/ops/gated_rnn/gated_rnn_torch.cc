// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_rnn/gated_rnn_torch.h"

#include "longwave/ops/gated_rnn/gated_rnn.h"
#include "longwave/ops/gated_rnn/gated_rnn_operations_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = c10::optional<torch::Tensor>;

View<const uint8_t, 2> starts_view(const torch::Tensor& starts) {
  if (!starts.defined()) return {};
  return {starts.data_ptr<uint8_t>(),
          {starts.size(0), starts.size(1)},
          {starts.stride(0), starts.stride(1)}};
}

/// What each step found as its h: (batch time, hidden).
torch::Tensor states_before(const torch::Tensor& y, const torch::Tensor& h0,
                            const torch::Tensor& starts) {
  torch::Tensor before = torch::cat({h0.unsqueeze(1), y}, 1).slice(1, 0, y.size(1));
  if (starts.defined()) before = before * (starts == 0).unsqueeze(2);
  return before.reshape({-1, y.size(2)});
}

torch::Tensor dense_or_zeros(const torch::Tensor& gradient, const torch::Tensor& like) {
  return gradient.defined() ? gradient.clone(torch::MemoryFormat::Contiguous)
                            : torch::zeros_like(like, torch::MemoryFormat::Contiguous);
}

void run_lstm(const LstmScanTensors& in) {
  if (in.p.is_cuda()) return lstm_scan_of_operations(in);
  with_precision_of(in.p, [&](auto number) {
    using T = decltype(number);
    lstm_scan(LstmScanArgs<T>{.p = view_of<const T, 3>(in.p),
                              .W = view_of<const T, 2>(in.W),
                              .starts = starts_view(in.starts),
                              .h = view_of<T, 2>(in.h),
                              .c = view_of<T, 2>(in.c),
                              .y = view_of<T, 3>(in.y),
                              .gates = view_of<T, 3>(in.gates),
                              .cells = view_of<T, 3>(in.cells)});
  });
}

void run_lstm_back(const LstmScanGradTensors& in) {
  if (in.dy.is_cuda()) return lstm_scan_grad_of_operations(in);
  const torch::Tensor Wt = in.W.t().contiguous();
  with_precision_of(in.dy, [&](auto number) {
    using T = decltype(number);
    Workspace workspace(lstm_scan_grad_workspace_bytes<T>(in.dy.size(0), in.dy.size(2)));
    lstm_scan_grad(LstmScanGradArgs<T>{.gates = view_of<const T, 3>(in.gates),
                                       .cells = view_of<const T, 3>(in.cells),
                                       .c0 = view_of<const T, 2>(in.c0),
                                       .Wt = view_of<const T, 2>(Wt),
                                       .starts = starts_view(in.starts),
                                       .dy = view_of<const T, 3>(in.dy),
                                       .dh = view_of<T, 2>(in.dh),
                                       .dc = view_of<T, 2>(in.dc),
                                       .dp = view_of<T, 3>(in.dp)},
                   workspace);
  });
}

void run_gru(const GruScanTensors& in) {
  if (in.p.is_cuda()) return gru_scan_of_operations(in);
  with_precision_of(in.p, [&](auto number) {
    using T = decltype(number);
    gru_scan(GruScanArgs<T>{.p = view_of<const T, 3>(in.p),
                            .W = view_of<const T, 2>(in.W),
                            .b = view_of<const T, 1>(in.b),
                            .starts = starts_view(in.starts),
                            .h = view_of<T, 2>(in.h),
                            .y = view_of<T, 3>(in.y),
                            .gates = view_of<T, 3>(in.gates)});
  });
}

void run_gru_back(const GruScanGradTensors& in) {
  if (in.dy.is_cuda()) return gru_scan_grad_of_operations(in);
  const torch::Tensor Wt = in.W.t().contiguous();
  with_precision_of(in.dy, [&](auto number) {
    using T = decltype(number);
    gru_scan_grad(GruScanGradArgs<T>{.gates = view_of<const T, 3>(in.gates),
                                     .y = view_of<const T, 3>(in.y),
                                     .h0 = view_of<const T, 2>(in.h0),
                                     .Wt = view_of<const T, 2>(Wt),
                                     .starts = starts_view(in.starts),
                                     .dy = view_of<const T, 3>(in.dy),
                                     .dh = view_of<T, 2>(in.dh),
                                     .d = view_of<T, 3>(in.d)});
  });
}

class LstmScanFunction : public torch::autograd::Function<LstmScanFunction> {
 public:
  static variable_list forward(AutogradContext* context, const torch::Tensor& p,
                               const torch::Tensor& W, const torch::Tensor& h,
                               const torch::Tensor& c, const OptionalTensor& starts) {
    const torch::Tensor projected = p.contiguous(), weight = W.contiguous();
    const torch::Tensor marks = starts.value_or(torch::Tensor());
    const torch::Tensor y = torch::empty({p.size(0), p.size(1), h.size(1)}, p.options());
    const torch::Tensor gates = torch::empty_like(projected), cells = torch::empty_like(y);
    const torch::Tensor h_after = h.clone(torch::MemoryFormat::Contiguous);
    const torch::Tensor c_after = c.clone(torch::MemoryFormat::Contiguous);
    run_lstm({projected, weight, marks, h_after, c_after, y, gates, cells});
    context->save_for_backward({weight, h, c, y, gates, cells, marks});
    return {y, h_after, c_after};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &W = saved[0], &h = saved[1], &y = saved[3], &gates = saved[4],
                        &cells = saved[5], &starts = saved[6];
    const torch::Tensor c = saved[2].contiguous();
    const torch::Tensor dy =
        gradients[0].defined() ? gradients[0].contiguous() : torch::zeros_like(y);
    const torch::Tensor dh = dense_or_zeros(gradients[1], h), dc = dense_or_zeros(gradients[2], c);
    const torch::Tensor dp = torch::empty_like(gates);
    run_lstm_back({gates, cells, c, W, starts, dy, dh, dc, dp});
    const torch::Tensor dW = torch::mm(dp.view({-1, W.size(0)}).t(), states_before(y, h, starts));
    return {dp, dW, dh, dc, torch::Tensor()};
  }
};

class GruScanFunction : public torch::autograd::Function<GruScanFunction> {
 public:
  static variable_list forward(AutogradContext* context, const torch::Tensor& p,
                               const torch::Tensor& W, const torch::Tensor& b,
                               const torch::Tensor& h, const OptionalTensor& starts) {
    const torch::Tensor projected = p.contiguous(), weight = W.contiguous();
    const torch::Tensor marks = starts.value_or(torch::Tensor());
    const int64_t batch = p.size(0), time = p.size(1), hidden = h.size(1);
    const torch::Tensor y = torch::empty({batch, time, hidden}, p.options());
    const torch::Tensor gates = torch::empty({batch, time, 4 * hidden}, p.options());
    const torch::Tensor after = h.clone(torch::MemoryFormat::Contiguous);
    run_gru({projected, weight, b, marks, after, y, gates});
    context->save_for_backward({weight, h, y, gates, marks});
    return {y, after};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &W = saved[0], &y = saved[2], &gates = saved[3], &starts = saved[4];
    const torch::Tensor h = saved[1].contiguous();
    const torch::Tensor dy =
        gradients[0].defined() ? gradients[0].contiguous() : torch::zeros_like(y);
    const torch::Tensor dh = dense_or_zeros(gradients[1], h), d = torch::empty_like(gates);
    run_gru_back({gates, y, h, W, starts, dy, dh, d});
    const int64_t hidden = y.size(2);
    const torch::Tensor products = d.slice(2, 0, 3 * hidden).reshape({-1, 3 * hidden});
    const torch::Tensor dW = torch::mm(products.t(), states_before(y, h, starts));
    const torch::Tensor db = products.slice(1, 2 * hidden).sum(0);
    const torch::Tensor dp = torch::cat({d.slice(2, 0, 2 * hidden), d.slice(2, 3 * hidden)}, 2);
    return {dp, dW, db, dh, torch::Tensor()};
  }
};

}  // namespace

LstmScanTorch lstm_scan(const torch::Tensor& p, const torch::Tensor& W, const torch::Tensor& h,
                        const torch::Tensor& c, const torch::Tensor& starts) {
  const variable_list out = LstmScanFunction::apply(p, W, h, c, optional(starts));
  return {out[0], out[1], out[2]};
}

GruScanTorch gru_scan(const torch::Tensor& p, const torch::Tensor& W, const torch::Tensor& b,
                      const torch::Tensor& h, const torch::Tensor& starts) {
  const variable_list out = GruScanFunction::apply(p, W, b, h, optional(starts));
  return {out[0], out[1]};
}

}  // namespace longwave::ops
