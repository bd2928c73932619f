// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/vandermonde/vandermonde_torch.h"

#include "longwave/ops/tensor_view_torch.h"
#include "longwave/ops/vandermonde/vandermonde.h"

namespace longwave::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class Vandermonde : public torch::autograd::Function<Vandermonde> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& a,
                               const torch::Tensor& c, int64_t length) {
    require(length >= 0, "vandermonde", "the length must not be negative");
    context->save_for_backward({a, c});
    const auto real = torch::toRealValueType(a.scalar_type());
    torch::Tensor K = torch::empty({a.size(0), length}, a.options().dtype(real));
    with_precision_of(a, [&](auto number) {
      using T = decltype(number);
      Workspace workspace(vandermonde_workspace_bytes(length));
      vandermonde(VandermondeArgs<T>{.a = view_of<const std::complex<T>, 2>(a),
                                     .c = view_of<const std::complex<T>, 2>(c),
                                     .K = view_of<T, 2>(K)},
                  workspace);
    });
    return K;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &a = saved[0], &c = saved[1];
    torch::Tensor da = torch::empty_like(a), dc = torch::empty_like(c);
    with_precision_of(a, [&](auto number) {
      using T = decltype(number);
      Workspace workspace(vandermonde_workspace_bytes(gradients[0].size(1)));
      vandermonde_grad(VandermondeGradArgs<T>{.a = view_of<const std::complex<T>, 2>(a),
                                              .c = view_of<const std::complex<T>, 2>(c),
                                              .dK = view_of<const T, 2>(gradients[0]),
                                              .da = view_of<std::complex<T>, 2>(da),
                                              .dc = view_of<std::complex<T>, 2>(dc)},
                       workspace);
    });
    return {da, dc, torch::Tensor()};
  }
};

}  // namespace

torch::Tensor vandermonde(const torch::Tensor& a, const torch::Tensor& c, int64_t length) {
  // A lazy conjugate is not what lies in memory.
  return Vandermonde::apply(a.resolve_conj(), c.resolve_conj(), length);
}

}  // namespace longwave::ops
