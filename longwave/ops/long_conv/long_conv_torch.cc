// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/long_conv/long_conv_torch.h"

#include "longwave/ops/long_conv/long_conv.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

torch::Tensor empty_like_if_defined(const torch::Tensor& x) {
  return x.defined() ? torch::empty_like(x) : torch::Tensor();
}

/// Functions of torch take no undefined tensor.
c10::optional<torch::Tensor> optional(const torch::Tensor& x) {
  return x.defined() ? c10::optional<torch::Tensor>(x) : c10::nullopt;
}

class LongConv : public torch::autograd::Function<LongConv> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& u,
                               const torch::Tensor& K, const c10::optional<torch::Tensor>& ahead,
                               const c10::optional<torch::Tensor>& skip) {
    const torch::Tensor K_ahead = ahead.value_or(torch::Tensor());
    const torch::Tensor d = skip.value_or(torch::Tensor());
    context->save_for_backward({u, K, K_ahead, d});
    torch::Tensor y = torch::empty_like(u);
    with_precision_of(u, [&](auto number) {
      using T = decltype(number);
      const FftPlan plan = long_conv_plan(u.size(1));
      Workspace workspace(long_conv_workspace_bytes(u.size(1)));
      long_conv(LongConvArgs<T>{.u = view_of<const T, 3>(u),
                                .K = view_of<const T, 2>(K),
                                .K_ahead = view_of<const T, 2>(K_ahead),
                                .d = view_of<const T, 1>(d),
                                .y = view_of<T, 3>(y),
                                .plan = &plan},
                workspace);
    });
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const torch::Tensor &u = saved[0], &K = saved[1], &K_ahead = saved[2], &d = saved[3];
    torch::autograd::variable_list result;
    for (const torch::Tensor& x : saved) result.push_back(empty_like_if_defined(x));
    with_precision_of(u, [&](auto number) {
      using T = decltype(number);
      const FftPlan plan = long_conv_plan(u.size(1));
      Workspace workspace(long_conv_workspace_bytes(u.size(1)));
      long_conv_grad(LongConvGradArgs<T>{.u = view_of<const T, 3>(u),
                                         .K = view_of<const T, 2>(K),
                                         .K_ahead = view_of<const T, 2>(K_ahead),
                                         .d = view_of<const T, 1>(d),
                                         .dy = view_of<const T, 3>(gradients[0]),
                                         .du = view_of<T, 3>(result[0]),
                                         .dK = view_of<T, 2>(result[1]),
                                         .dK_ahead = view_of<T, 2>(result[2]),
                                         .dd = view_of<T, 1>(result[3]),
                                         .plan = &plan},
                     workspace);
    });
    return result;
  }
};

}  // namespace

torch::Tensor long_conv(const torch::Tensor& u, const torch::Tensor& K,
                        const torch::Tensor& K_ahead, const torch::Tensor& d) {
  return LongConv::apply(u, K, optional(K_ahead), optional(d));
}

}  // namespace longwave::ops
