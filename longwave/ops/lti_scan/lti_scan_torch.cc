// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_scan_torch.h"

#include <string>

#include "longwave/base/error.h"
#include "longwave/ops/lti_scan/lti_scan.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Operands {
  Tensor u, a, c, d, h0;
};

// Lazy conjugates and negatives become numbers; a skip without elements is none.
Operands resolved(Operands in) {
  for (Tensor* tensor : {&in.u, &in.a, &in.c, &in.d, &in.h0}) {
    *tensor = tensor->detach().resolve_conj().resolve_neg();
  }
  if (in.d.numel() == 0) in.d = Tensor();
  return in;
}

template <typename T>
LtiScanOutput forward(const Operands& in) {
  using Complex = std::complex<T>;
  LtiScanOutput out{torch::empty(in.u.sizes(), in.u.options()),
                    in.h0.clone(torch::MemoryFormat::Contiguous)};
  Workspace workspace(lti_scan_workspace_bytes(in.u.size(0), in.u.size(2), in.a.size(1)));
  lti_scan(LtiScanArgs<T>{.u = view_of<const T, 3>(in.u),
                          .a = view_of<const Complex, 2>(in.a),
                          .c = view_of<const Complex, 2>(in.c),
                          .d = view_of<const T, 1>(in.d),
                          .h = view_of<Complex, 3>(out.h),
                          .y = view_of<T, 3>(out.y)},
           workspace);
  return out;
}

// Gradients of u, a, c, d, h0.
template <typename T>
Operands backward(const Operands& in, const Tensor& dy, const Tensor& dh) {
  using Complex = std::complex<T>;
  const auto like = [](const Tensor& tensor) {
    return tensor.defined() ? torch::empty(tensor.sizes(), tensor.options()) : Tensor();
  };
  Operands out{like(in.u), like(in.a), like(in.c), like(in.d), like(in.h0)};
  Workspace workspace(lti_scan_backward_workspace_bytes(in.u.size(0), in.u.size(2), in.a.size(1)));
  lti_scan_backward(LtiScanGradArgs<T>{.u = view_of<const T, 3>(in.u),
                                       .a = view_of<const Complex, 2>(in.a),
                                       .c = view_of<const Complex, 2>(in.c),
                                       .d = view_of<const T, 1>(in.d),
                                       .h0 = view_of<const Complex, 3>(in.h0),
                                       .dy = view_of<const T, 3>(dy),
                                       .dh = view_of<const Complex, 3>(dh),
                                       .du = view_of<T, 3>(out.u),
                                       .da = view_of<Complex, 2>(out.a),
                                       .dc = view_of<Complex, 2>(out.c),
                                       .dd = view_of<T, 1>(out.d),
                                       .dh0 = view_of<Complex, 3>(out.h0)},
                    workspace);
  return out;
}

class LtiScanFunction : public torch::autograd::Function<LtiScanFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& u, const Tensor& a,
                               const Tensor& c, const Tensor& d, const Tensor& h0) {
    context->save_for_backward({u, a, c, d, h0});
    context->set_materialize_grads(false);
    const Operands in = resolved({u, a, c, d, h0});
    const LtiScanOutput out =
        u.scalar_type() == torch::kFloat32 ? ops::forward<float>(in) : ops::forward<double>(in);
    return {out.y, out.h};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "lti_scan: second derivatives are not offered");
    const variable_list saved = context->get_saved_variables();
    const Operands in = resolved({saved[0], saved[1], saved[2], saved[3], saved[4]});
    const Tensor dy = grads[0].defined() ? grads[0].resolve_neg() : torch::zeros_like(in.u);
    const Tensor dh = grads[1].defined() ? grads[1].resolve_conj().resolve_neg() : Tensor();
    const Operands out = in.u.scalar_type() == torch::kFloat32 ? ops::backward<float>(in, dy, dh)
                                                               : ops::backward<double>(in, dy, dh);
    return {out.u, out.a, out.c, out.d, out.h0};
  }
};

void require_type(const char* name, const Tensor& tensor, torch::ScalarType wanted, int64_t rank) {
  if (tensor.scalar_type() == wanted && tensor.dim() == rank && tensor.device().is_cpu()) return;
  throw InvalidArgument({.where = "lti_scan",
                         .what = std::string(name) + " has another type, rank or device",
                         .got = tensor.toString() + " of rank " + std::to_string(tensor.dim()),
                         .fix = std::string("give it as a CPU tensor of ") +
                                torch::toString(wanted) + " and rank " + std::to_string(rank)});
}

}  // namespace

LtiScanOutput lti_scan(const Tensor& u, const Tensor& a, const Tensor& c, const Tensor& d,
                       const Tensor& h0) {
  const bool single = u.scalar_type() == torch::kFloat32;
  const auto real = single ? torch::kFloat32 : torch::kFloat64;
  const auto complex = single ? torch::kComplexFloat : torch::kComplexDouble;
  require_type("u", u, real, 3);
  require_type("a", a, complex, 2);
  require_type("c", c, complex, 2);
  if (d.defined()) require_type("d", d, real, 1);
  if (h0.defined()) require_type("h0", h0, complex, 3);
  // Undefined tensors cannot enter a Function: no skip is one without elements.
  const Tensor skip = d.defined() ? d : torch::empty({0}, u.options());
  const Tensor state =
      h0.defined() ? h0 : torch::zeros({u.size(0), u.size(2), a.size(1)}, a.options());
  const variable_list out = LtiScanFunction::apply(u, a, c, skip, state);
  return {out[0], out[1]};
}

}  // namespace longwave::ops
