// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/diagonal/diagonal_siso_torch.h"

#include "longwave/mixers/diagonal/complex_torch.h"
#include "longwave/ops/lti_scan/lti_scan_torch.h"
#include "longwave/ops/operand_torch.h"

namespace longwave::mixers {

TorchMixer::Output diagonal_siso(const SisoFactorsTorch& factors, const TorchMixer::Call& call) {
  const torch::Dtype real = ops::wide_type(call.u);
  const torch::Tensor a = factors.a.to(complex_of(real)), c = factors.c.to(complex_of(real));
  const torch::Tensor D = factors.D.to(real);
  const int64_t batch = call.u.size(0), time = call.u.size(1), modes = a.size(1);
  const bool causal = !factors.c_back.defined();
  const torch::Tensor before =
      complex_state(causal ? call.state : torch::Tensor(), call.u, a.numel())
          .reshape({batch, a.size(0), modes});
  const auto ahead = ops::lti_scan(call.u, a, c, D, before);
  if (causal) return {ahead.y, call.final_state ? state_rows(ahead.h) : torch::Tensor()};

  // back[t] is the readout after u[time-1], ..., u[t+1]; the last step has no later input.
  torch::Tensor y = ahead.y;
  if (time > 1) {
    const torch::Tensor later = call.u.slice(1, 1).flip(1);
    const auto back =
        ops::lti_scan(later, a, factors.c_back.to(complex_of(real)), torch::Tensor(), before);
    y = y + torch::constant_pad_nd(back.y.flip(1), {0, 0, 0, 1});
  }
  return {y, call.final_state ? D.new_zeros({batch, 0}) : torch::Tensor()};
}

}  // namespace longwave::mixers
