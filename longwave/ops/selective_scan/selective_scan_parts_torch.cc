// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_scan_parts_torch.h"

#include <algorithm>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/ops/operand_torch.h"

namespace longwave::ops {

using torch::Tensor;

SelectiveScanOutput selective_scan_in_parts(const SelectiveScanTensors& in, int64_t most) {
  const int64_t state = in.A.size(1);
  require(in.B.size(3) == state && in.C.size(3) == state &&
              (!in.h0.defined() || in.h0.size(2) == state),
          "selective_scan", "A, B, C and h0 must have as many states");
  const Tensor u = widened(in.u), dt = widened(in.dt), B = widened(in.B), C = widened(in.C);
  Tensor y = in.D.defined() ? in.D * u : torch::zeros_like(u);
  std::vector<Tensor> states;
  for (int64_t begin = 0; begin < state; begin += most) {
    const int64_t end = std::min(begin + most, state);
    const SelectiveScanOutput part =
        selective_scan({.step_size = in.step_size,
                        .u = u,
                        .dt = dt,
                        .A = in.A.slice(1, begin, end),
                        .B = B.slice(3, begin, end),
                        .C = C.slice(3, begin, end),
                        .D = {},
                        .dt_bias = in.dt_bias,
                        .z = {},
                        .h0 = in.h0.defined() ? in.h0.slice(2, begin, end) : Tensor(),
                        .starts = in.starts});
    y = y + part.y;
    states.push_back(part.h);
  }
  if (in.z.defined()) y = y * torch::silu(widened(in.z));
  return {y.to(in.u.scalar_type()), torch::cat(states, 2)};
}

}  // namespace longwave::ops
