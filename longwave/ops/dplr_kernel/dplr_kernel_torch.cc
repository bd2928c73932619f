// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/dplr_kernel/dplr_kernel_torch.h"

#include "longwave/ops/dplr_kernel/dplr_kernel.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Workspace workspace_for(const torch::Tensor& Lambda, const torch::Tensor& P, int64_t length) {
  return Workspace(dplr_kernel_workspace_bytes(length, Lambda.size(0), Lambda.size(1),
                                               P.defined() ? P.size(0) : 0));
}

class DplrKernel : public torch::autograd::Function<DplrKernel> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& Lambda,
                               const c10::optional<torch::Tensor>& low_rank, const torch::Tensor& B,
                               const torch::Tensor& Ct, const torch::Tensor& dt, int64_t length) {
    const torch::Tensor P = low_rank.value_or(torch::Tensor());
    context->save_for_backward({Lambda, P, B, Ct, dt});
    torch::Tensor K = torch::empty({dt.size(0), length}, dt.options());
    with_precision_of(dt, [&](auto number) {
      using T = decltype(number);
      using Complex = std::complex<T>;
      const DplrKernelPlan plan(length);
      Workspace workspace = workspace_for(Lambda, P, length);
      dplr_kernel(DplrKernelArgs<T>{.Lambda = view_of<const Complex, 2>(Lambda),
                                    .P = view_of<const Complex, 3>(P),
                                    .B = view_of<const Complex, 2>(B),
                                    .Ct = view_of<const Complex, 2>(Ct),
                                    .dt = view_of<const T, 1>(dt),
                                    .K = view_of<T, 2>(K),
                                    .plan = &plan},
                  workspace);
    });
    return K;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &Lambda = saved[0], &P = saved[1], &B = saved[2], &Ct = saved[3],
                        &dt = saved[4];
    variable_list result;
    for (const torch::Tensor& x : saved) {
      result.push_back(x.defined() ? torch::empty_like(x) : torch::Tensor());
    }
    with_precision_of(dt, [&](auto number) {
      using T = decltype(number);
      using Complex = std::complex<T>;
      const int64_t length = gradients[0].size(1);
      const DplrKernelPlan plan(length);
      Workspace workspace = workspace_for(Lambda, P, length);
      dplr_kernel_grad(DplrKernelGradArgs<T>{.Lambda = view_of<const Complex, 2>(Lambda),
                                             .P = view_of<const Complex, 3>(P),
                                             .B = view_of<const Complex, 2>(B),
                                             .Ct = view_of<const Complex, 2>(Ct),
                                             .dt = view_of<const T, 1>(dt),
                                             .dK = view_of<const T, 2>(gradients[0]),
                                             .dLambda = view_of<Complex, 2>(result[0]),
                                             .dP = view_of<Complex, 3>(result[1]),
                                             .dB = view_of<Complex, 2>(result[2]),
                                             .dCt = view_of<Complex, 2>(result[3]),
                                             .ddt = view_of<T, 1>(result[4]),
                                             .plan = &plan},
                       workspace);
    });
    result.emplace_back();  // the length has no gradient
    return result;
  }
};

}  // namespace

torch::Tensor dplr_kernel(const DplrKernelCall& call) {
  // A lazy conjugate is not what lies in memory.
  const auto resolved = [](const torch::Tensor& x) { return x.resolve_conj(); };
  const c10::optional<torch::Tensor> P =
      call.P.defined() && call.P.size(0) > 0 ? c10::make_optional(resolved(call.P)) : c10::nullopt;
  return DplrKernel::apply(resolved(call.Lambda), P, resolved(call.B), resolved(call.Ct), call.dt,
                           call.length);
}

}  // namespace longwave::ops
