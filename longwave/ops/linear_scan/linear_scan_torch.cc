// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/linear_scan/linear_scan_torch.h"

#include <string>

#include "longwave/base/error.h"
#include "longwave/ops/linear_scan/linear_scan.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Numbers in memory as they are, channels adjacent, as the kernels want them.
Tensor resolved(const Tensor& tensor) {
  return with_rows(tensor.detach().resolve_conj().resolve_neg());
}

template <typename T>
LinearScanOutput forward(const Tensor& a, const Tensor& b, const Tensor& h0) {
  LinearScanOutput out{torch::empty(b.sizes(), b.options()),
                       torch::empty(h0.sizes(), h0.options())};
  linear_scan(LinearScanArgs<T>{.a = view_of<const T, 3>(a),
                                .b = view_of<const T, 3>(b),
                                .h0 = view_of<const T, 2>(h0),
                                .h = view_of<T, 3>(out.h),
                                .final = view_of<T, 2>(out.final)});
  return out;
}

struct Gradients {
  Tensor h, final;  // in
  Tensor a, b, h0;  // out; a undefined if it is not wanted
};

template <typename T>
void backward(const Tensor& a, const Tensor& h, const Tensor& h0, const Gradients& grads) {
  Workspace workspace(linear_scan_backward_workspace_bytes(h.size(0), h.size(2)));
  linear_scan_backward(LinearScanGradArgs<T>{.a = view_of<const T, 3>(a),
                                             .h = view_of<const T, 3>(h),
                                             .h0 = view_of<const T, 2>(h0),
                                             .dh = view_of<const T, 3>(grads.h),
                                             .dfinal = view_of<const T, 2>(grads.final),
                                             .da = view_of<T, 3>(grads.a),
                                             .db = view_of<T, 3>(grads.b),
                                             .dh0 = view_of<T, 2>(grads.h0)},
                       workspace);
}

// Calls `body` with a number of the tensor's own type.
template <typename Body>
auto with_type_of(const Tensor& tensor, const Body& body) {
  return with_precision_of(tensor, [&](auto number) {
    using Real = decltype(number);
    return tensor.is_complex() ? body(std::complex<Real>()) : body(Real());
  });
}

class LinearScanFunction : public torch::autograd::Function<LinearScanFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& a, const Tensor& b,
                               const Tensor& h0) {
    context->set_materialize_grads(false);
    const LinearScanOutput out = with_type_of(b, [&](auto number) {
      return ops::forward<decltype(number)>(resolved(a), resolved(b), resolved(h0));
    });
    context->save_for_backward({a, out.h, h0});
    return {out.h, out.final};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "linear_scan: second derivatives are not offered");
    const variable_list saved = context->get_saved_variables();
    const Tensor a = resolved(saved[0]), h = resolved(saved[1]), h0 = resolved(saved[2]);
    Gradients all{.h = grads[0].defined() ? resolved(grads[0]) : torch::zeros_like(h),
                  .final = grads[1].defined() ? resolved(grads[1]) : Tensor(),
                  .a = {},
                  .b = torch::empty_like(h),
                  .h0 = torch::empty(h0.sizes(), h0.options())};
    if (saved[0].requires_grad()) all.a = torch::empty(a.sizes(), a.options());
    with_type_of(h, [&](auto number) { ops::backward<decltype(number)>(a, h, h0, all); });
    return {all.a, all.b, all.h0};
  }
};

void require_type(const char* name, const Tensor& tensor, torch::ScalarType wanted, int64_t rank) {
  if (tensor.scalar_type() == wanted && tensor.dim() == rank && tensor.device().is_cpu()) return;
  throw InvalidArgument({.where = "linear_scan",
                         .what = std::string(name) + " has another type, rank or device",
                         .got = tensor.toString() + " of rank " + std::to_string(tensor.dim()),
                         .fix = std::string("give it as a CPU tensor of ") +
                                torch::toString(wanted) + " and rank " + std::to_string(rank)});
}

}  // namespace

LinearScanOutput linear_scan(const Tensor& a, const Tensor& b, const Tensor& h0) {
  const Tensor factor = a.dim() == 1 ? a.view({1, 1, -1}) : a;
  require_type("b", b, b.scalar_type(), 3);
  require_type("a", factor, b.scalar_type(), 3);
  if (h0.defined()) require_type("h0", h0, b.scalar_type(), 2);
  const Tensor state = h0.defined() ? h0 : torch::zeros({b.size(0), b.size(2)}, b.options());
  const variable_list out = LinearScanFunction::apply(factor, b, state);
  return {out[0], out[1]};
}

}  // namespace longwave::ops
