// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_scan_torch.h"

#include "longwave/base/error.h"
#include "longwave/ops/lti_scan/lti_scan.h"
#include "longwave/ops/lti_scan/lti_scan_device_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Lazy conjugates and negatives become numbers; a skip without elements is none.
LtiScanTensors resolved(LtiScanTensors in) {
  for (Tensor* tensor : {&in.u, &in.a, &in.c, &in.d, &in.h0}) {
    *tensor = tensor->detach().resolve_conj().resolve_neg();
  }
  if (in.d.numel() == 0) in.d = Tensor();
  return in;
}

template <typename T>
void forward(const LtiScanTensors& in, const LtiScanOutput& out) {
  using Complex = std::complex<T>;
  Workspace workspace(lti_scan_workspace_bytes(in.u.size(0), in.u.size(2), in.a.size(1)));
  lti_scan(LtiScanArgs<T>{.u = view_of<const T, 3>(in.u),
                          .a = view_of<const Complex, 2>(in.a),
                          .c = view_of<const Complex, 2>(in.c),
                          .d = view_of<const T, 1>(in.d),
                          .h = view_of<Complex, 3>(out.h),
                          .y = view_of<T, 3>(out.y)},
           workspace);
}

template <typename T>
void backward(const LtiScanTensors& in, const LtiScanOutput& d, const LtiScanTensors& grads) {
  using Complex = std::complex<T>;
  Workspace workspace(lti_scan_backward_workspace_bytes(in.u.size(0), in.u.size(2), in.a.size(1)));
  lti_scan_backward(LtiScanGradArgs<T>{.u = view_of<const T, 3>(in.u),
                                       .a = view_of<const Complex, 2>(in.a),
                                       .c = view_of<const Complex, 2>(in.c),
                                       .d = view_of<const T, 1>(in.d),
                                       .h0 = view_of<const Complex, 3>(in.h0),
                                       .dy = view_of<const T, 3>(d.y),
                                       .dh = view_of<const Complex, 3>(d.h),
                                       .du = view_of<T, 3>(grads.u),
                                       .da = view_of<Complex, 2>(grads.a),
                                       .dc = view_of<Complex, 2>(grads.c),
                                       .dd = view_of<T, 1>(grads.d),
                                       .dh0 = view_of<Complex, 3>(grads.h0)},
                    workspace);
}

class LtiScanFunction : public torch::autograd::Function<LtiScanFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& u, const Tensor& a,
                               const Tensor& c, const Tensor& d, const Tensor& h0) {
    context->save_for_backward({u, a, c, d, h0});
    context->set_materialize_grads(false);
    const LtiScanTensors in = resolved({u, a, c, d, h0});
    const LtiScanOutput out{torch::empty(in.u.sizes(), in.u.options()),
                            in.h0.clone(torch::MemoryFormat::Contiguous)};
    if (u.is_cuda()) {
      lti_scan_on_device(in, out);
    } else {
      with_precision_of(u, [&](auto number) { ops::forward<decltype(number)>(in, out); });
    }
    return {out.y, out.h};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "lti_scan: second derivatives are not offered");
    const variable_list saved = context->get_saved_variables();
    const LtiScanTensors in = resolved({saved[0], saved[1], saved[2], saved[3], saved[4]});
    const LtiScanOutput d{grads[0].defined() ? grads[0].resolve_neg() : torch::zeros_like(in.u),
                          grads[1].defined() ? grads[1].resolve_conj().resolve_neg() : Tensor()};
    const LtiScanTensors out{empty_as(in.u), empty_as(in.a), empty_as(in.c), empty_as(in.d),
                             empty_as(in.h0)};
    if (in.u.is_cuda()) {
      lti_scan_backward_on_device(in, d, out);
    } else {
      with_precision_of(in.u, [&](auto number) { ops::backward<decltype(number)>(in, d, out); });
    }
    return {out.u, out.a, out.c, out.d, out.h0};
  }
};

}  // namespace

LtiScanOutput lti_scan(const Tensor& u, const Tensor& a, const Tensor& c, const Tensor& d,
                       const Tensor& h0) {
  if (is_narrow(u) && !lti_scan_runs_on_device(u)) {
    const LtiScanOutput out = lti_scan(widened(u), a, c, d, h0);
    return {out.y.to(u.scalar_type()), out.h};
  }
  const bool wide = u.scalar_type() == torch::kFloat64 && !u.is_cuda();
  const auto real =
      torch::TensorOptions(wide ? torch::kFloat64 : torch::kFloat32).device(u.device());
  const auto complex = real.dtype(wide ? torch::kComplexDouble : torch::kComplexFloat);
  require_tensor("lti_scan", "u", u, is_narrow(u) ? u.options() : real, 3);
  require_tensor("lti_scan", "a", a, complex, 2);
  require_tensor("lti_scan", "c", c, complex, 2);
  if (d.defined()) require_tensor("lti_scan", "d", d, real, 1);
  if (h0.defined()) require_tensor("lti_scan", "h0", h0, complex, 3);
  // Undefined tensors cannot enter a Function: no skip is one without elements.
  const Tensor skip = d.defined() ? d : torch::empty({0}, real);
  const Tensor state =
      h0.defined() ? h0 : torch::zeros({u.size(0), u.size(2), a.size(1)}, a.options());
  const variable_list out = LtiScanFunction::apply(u, a, c, skip, state);
  return {out[0], out[1]};
}

}  // namespace longwave::ops
