// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/diagonal/diagonal_mimo_torch.h"

#include "longwave/mixers/diagonal/complex_torch.h"
#include "longwave/ops/linear_scan/linear_scan_torch.h"
#include "longwave/ops/operand_torch.h"

namespace longwave::mixers {
namespace {

/// B u[t] for every step, as one real product in the type of u.
torch::Tensor project(const torch::Tensor& B, const torch::Tensor& u) {
  const int64_t modes = B.size(0), channels = B.size(1);
  const torch::Tensor rows =
      torch::view_as_real(B).permute({0, 2, 1}).reshape({2 * modes, channels});
  const torch::Tensor pairs = torch::matmul(u, rows.to(u.scalar_type()).t());
  return torch::view_as_complex(ops::widened(pairs).reshape({u.size(0), u.size(1), modes, 2}));
}

/// Re(C h[t]) for every step, as one real product in the type `signal`.
torch::Tensor read(const torch::Tensor& C, const torch::Tensor& h, torch::Dtype signal) {
  const int64_t channels = C.size(0), modes = C.size(1);
  const torch::Tensor pairs =
      torch::view_as_real(h).to(signal).reshape({h.size(0), h.size(1), 2 * modes});
  const torch::Tensor rows =
      torch::stack({torch::real(C), -torch::imag(C)}, -1).reshape({channels, 2 * modes});
  return torch::matmul(pairs, rows.to(signal).t());
}

}  // namespace

TorchMixer::Output diagonal_mimo(const MimoFactorsTorch& factors, const TorchMixer::Call& call) {
  const torch::Tensor& u = call.u;
  const torch::Dtype signal = u.scalar_type(), wide = ops::wide_type(u);
  const torch::Dtype complex = complex_of(wide);
  const int64_t batch = u.size(0), modes = factors.B.size(0);
  const bool causal = !factors.C_back.defined();
  torch::Tensor a = factors.a.to(complex);
  if (a.dim() == 1) a = a.reshape({1, 1, modes});
  torch::Tensor b = project(factors.B, u);
  if (factors.scale.defined()) b = b * factors.scale.to(complex);

  const torch::Tensor before = complex_state(causal ? call.state : torch::Tensor(), u, modes);
  const auto ahead = ops::linear_scan(a, b, before);
  // The skip is float32, as its gradient, so that only the sum is rounded again.
  torch::Tensor y = u * factors.D.to(wide) + read(factors.C, ahead.h, signal);
  if (causal) return {y.to(signal), call.final_state ? state_rows(ahead.final) : torch::Tensor()};
  const auto back = ops::linear_scan(a, b.flip(1), before);
  y = y + read(factors.C_back, back.h.flip(1), signal);
  return {y.to(signal), call.final_state ? factors.D.new_zeros({batch, 0}) : torch::Tensor()};
}

}  // namespace longwave::mixers
