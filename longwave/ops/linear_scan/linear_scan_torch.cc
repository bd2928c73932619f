// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/linear_scan/linear_scan_torch.h"

#include "longwave/base/error.h"
#include "longwave/ops/linear_scan/linear_scan.h"
#include "longwave/ops/linear_scan/linear_scan_device_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <typename T>
void forward(const Tensor& a, const Tensor& b, const Tensor& h0, const LinearScanOutput& out) {
  linear_scan(LinearScanArgs<T>{.a = view_of<const T, 3>(a),
                                .b = view_of<const T, 3>(b),
                                .h0 = view_of<const T, 2>(h0),
                                .h = view_of<T, 3>(out.h),
                                .final = view_of<T, 2>(out.final)});
}

template <typename T>
void backward(const LinearScanSaved& in, const LinearScanGradients& out) {
  Workspace workspace(linear_scan_backward_workspace_bytes(in.h.size(0), in.h.size(2)));
  linear_scan_backward(LinearScanGradArgs<T>{.a = view_of<const T, 3>(in.a),
                                             .h = view_of<const T, 3>(in.h),
                                             .h0 = view_of<const T, 2>(in.h0),
                                             .dh = view_of<const T, 3>(in.dh),
                                             .dfinal = view_of<const T, 2>(in.dfinal),
                                             .da = view_of<T, 3>(out.a),
                                             .db = view_of<T, 3>(out.b),
                                             .dh0 = view_of<T, 2>(out.h0)},
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
    const Tensor factor = with_rows(a), input = with_rows(b), first = with_rows(h0);
    const LinearScanOutput out{torch::empty(b.sizes(), b.options()),
                               torch::empty(h0.sizes(), h0.options())};
    if (b.is_cuda()) {
      linear_scan_on_device(factor, input, first, out);
    } else {
      with_type_of(b,
                   [&](auto number) { ops::forward<decltype(number)>(factor, input, first, out); });
    }
    context->save_for_backward({a, out.h, h0});
    return {out.h, out.final};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "linear_scan: second derivatives are not offered");
    const variable_list saved = context->get_saved_variables();
    LinearScanSaved in{.a = with_rows(saved[0]),
                       .h = with_rows(saved[1]),
                       .h0 = with_rows(saved[2]),
                       .dh = {},
                       .dfinal = with_rows(grads[1])};
    in.dh = grads[0].defined() ? with_rows(grads[0]) : torch::zeros_like(in.h);
    const LinearScanGradients out{.a = saved[0].requires_grad() ? empty_as(in.a) : Tensor(),
                                  .b = torch::empty_like(in.h),
                                  .h0 = empty_as(in.h0)};
    if (in.h.is_cuda()) {
      linear_scan_backward_on_device(in, out);
    } else {
      with_type_of(in.h, [&](auto number) { ops::backward<decltype(number)>(in, out); });
    }
    return {out.a, out.b, out.h0};
  }
};

}  // namespace

LinearScanOutput linear_scan(const Tensor& a, const Tensor& b, const Tensor& h0) {
  const bool alike = a.scalar_type() == b.scalar_type();
  if (is_narrow(b) && !(alike && linear_scan_runs_on_device(b))) {
    const LinearScanOutput out = linear_scan(widened(a), widened(b), h0);
    return {out.h.to(b.scalar_type()), out.final};
  }
  const Tensor factor = a.defined() && a.dim() == 1 ? a.view({1, 1, -1}) : a;
  const auto state_type = b.options().dtype(wide_type(b));
  require_tensor("linear_scan", "b", b, b.options(), 3);
  require_tensor("linear_scan", "a", factor, b.options(), 3);
  if (h0.defined()) require_tensor("linear_scan", "h0", h0, state_type, 2);
  const Tensor state = h0.defined() ? h0 : torch::zeros({b.size(0), b.size(2)}, state_type);
  const variable_list out = LinearScanFunction::apply(factor, b, state);
  return {out[0], out[1]};
}

}  // namespace longwave::ops
