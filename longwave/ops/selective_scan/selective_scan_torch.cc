// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_scan_torch.h"

#include "longwave/base/error.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/selective_scan/selective_scan_device_torch.h"
#include "longwave/ops/selective_scan/selective_scan_parts_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Undefined tensors cannot enter a Function: a scalar stands for an operand that was left out.
Tensor stand_in(const Tensor& tensor, const Tensor& like) {
  return tensor.defined() ? tensor : torch::zeros({}, torch::TensorOptions(like.scalar_type()));
}
Tensor resolved(const Tensor& tensor) {
  return tensor.dim() == 0 ? Tensor() : tensor.detach().resolve_neg();
}

// The order in which operands enter the function and gradients leave it.
SelectiveScanTensors operands(const variable_list& in, StepSize step_size) {
  return {.step_size = step_size,
          .u = resolved(in[0]),
          .dt = resolved(in[1]),
          .A = resolved(in[2]),
          .B = resolved(in[3]),
          .C = resolved(in[4]),
          .D = resolved(in[5]),
          .dt_bias = resolved(in[6]),
          .z = resolved(in[7]),
          .h0 = resolved(in[8]),
          .starts = resolved(in[9])};
}

template <typename T>
SelectiveScanInputs<T> views(const SelectiveScanTensors& in) {
  View<const uint8_t, 2> starts;
  if (in.starts.defined()) {
    starts = {in.starts.data_ptr<uint8_t>(),
              {in.starts.size(0), in.starts.size(1)},
              {in.starts.stride(0), in.starts.stride(1)}};
  }
  return {.step_size = in.step_size,
          .u = view_of<const T, 3>(in.u),
          .dt = view_of<const T, 3>(in.dt),
          .A = view_of<const T, 2>(in.A),
          .B = view_of<const T, 4>(in.B),
          .C = view_of<const T, 4>(in.C),
          .D = view_of<const T, 1>(in.D),
          .dt_bias = view_of<const T, 1>(in.dt_bias),
          .z = view_of<const T, 3>(in.z),
          .starts = starts};
}

SelectiveScanSize size_of(const SelectiveScanTensors& in) {
  return {in.u.size(0), in.u.size(2), in.B.size(2), in.A.size(1)};
}

// Fills y, h and, if it is defined, states.
template <typename T>
void forward(const SelectiveScanTensors& in, const SelectiveScanOutput& out, const Tensor& states) {
  Workspace workspace(selective_scan_workspace_bytes(size_of(in)));
  selective_scan(SelectiveScanArgs<T>{.in = views<T>(in),
                                      .h = view_of<T, 3>(out.h),
                                      .y = view_of<T, 3>(out.y),
                                      .states = view_of<T, 4>(states)},
                 workspace);
}

// Gradients of everything but starts; `grads` has the shapes of `in`.
template <typename T>
void backward(const SelectiveScanTensors& in, const Tensor& states, const SelectiveScanOutput& d,
              const SelectiveScanTensors& grads) {
  Workspace workspace(selective_scan_backward_workspace_bytes(size_of(in)));
  selective_scan_backward(SelectiveScanGradArgs<T>{.in = views<T>(in),
                                                   .states = view_of<const T, 4>(states),
                                                   .dy = view_of<const T, 3>(d.y),
                                                   .dh = view_of<const T, 3>(d.h),
                                                   .du = view_of<T, 3>(grads.u),
                                                   .ddt = view_of<T, 3>(grads.dt),
                                                   .dA = view_of<T, 2>(grads.A),
                                                   .dB = view_of<T, 4>(grads.B),
                                                   .dC = view_of<T, 4>(grads.C),
                                                   .dD = view_of<T, 1>(grads.D),
                                                   .ddt_bias = view_of<T, 1>(grads.dt_bias),
                                                   .dz = view_of<T, 3>(grads.z),
                                                   .dh0 = view_of<T, 3>(grads.h0)},
                          workspace);
}

class SelectiveScanFunction : public torch::autograd::Function<SelectiveScanFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& u, const Tensor& dt,
                               const Tensor& A, const Tensor& B, const Tensor& C, const Tensor& D,
                               const Tensor& dt_bias, const Tensor& z, const Tensor& h0,
                               const Tensor& starts, int64_t step_size, bool differentiable) {
    const variable_list inputs{u, dt, A, B, C, D, dt_bias, z, h0, starts};
    const SelectiveScanTensors in = operands(inputs, static_cast<StepSize>(step_size));
    const SelectiveScanOutput out{torch::empty(in.u.sizes(), in.u.options()),
                                  in.h0.clone(torch::MemoryFormat::Contiguous)};
    Tensor states;
    if (differentiable) {
      const int64_t state = A.size(1), chunks = selective_scan_chunks(u.size(1), state);
      states = torch::empty({u.size(0), chunks, state, u.size(2)}, A.options());
      variable_list kept = inputs;
      kept.push_back(states);
      context->save_for_backward(kept);
      context->set_materialize_grads(false);
      context->saved_data["step_size"] = step_size;
    }
    selective_scan_into(in, out, states);
    return {out.y, out.h};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(),
                "selective_scan: second derivatives are not offered");
    const variable_list saved = context->get_saved_variables();
    const auto step_size = static_cast<StepSize>(context->saved_data["step_size"].toInt());
    const SelectiveScanTensors in = operands(saved, step_size);
    const SelectiveScanOutput d{
        grads[0].defined() ? grads[0].detach().resolve_neg() : torch::zeros_like(in.u),
        grads[1].defined() ? grads[1].detach().resolve_neg() : Tensor()};
    const SelectiveScanTensors out{.u = empty_as(in.u),
                                   .dt = empty_as(in.dt),
                                   .A = empty_as(in.A),
                                   .B = empty_as(in.B),
                                   .C = empty_as(in.C),
                                   .D = empty_as(in.D),
                                   .dt_bias = empty_as(in.dt_bias),
                                   .z = empty_as(in.z),
                                   .h0 = empty_as(in.h0),
                                   .starts = {}};
    selective_scan_gradients(in, saved.back(), d, out);
    return {out.u,       out.dt, out.A,  out.B,    out.C,    out.D,
            out.dt_bias, out.z,  out.h0, Tensor(), Tensor(), Tensor()};
  }
};

torch::ScalarType signal_type(const Tensor& u) {
  if (is_narrow(u)) return u.scalar_type();
  return u.scalar_type() == torch::kFloat64 && !u.is_cuda() ? torch::kFloat64 : torch::kFloat32;
}

void check(const SelectiveScanTensors& in) {
  require(in.u.defined(), "selective_scan", "u is missing");
  const auto type = torch::TensorOptions(signal_type(in.u)).device(in.u.device());
  const auto wide = type.dtype(wide_type(in.u));
  require_tensor("selective_scan", "u", in.u, type, 3);
  require_tensor("selective_scan", "dt", in.dt, type, 3);
  require_tensor("selective_scan", "A", in.A, wide, 2);
  require_tensor("selective_scan", "B", in.B, type, 4);
  require_tensor("selective_scan", "C", in.C, type, 4);
  if (in.D.defined()) require_tensor("selective_scan", "D", in.D, wide, 1);
  if (in.dt_bias.defined()) require_tensor("selective_scan", "dt_bias", in.dt_bias, wide, 1);
  if (in.z.defined()) require_tensor("selective_scan", "z", in.z, type, 3);
  if (in.h0.defined()) require_tensor("selective_scan", "h0", in.h0, wide, 3);
  if (in.starts.defined())
    require_tensor("selective_scan", "starts", in.starts, type.dtype(torch::kUInt8), 2);
}

bool requires_gradient(const SelectiveScanTensors& in) {
  if (!torch::GradMode::is_enabled()) return false;
  for (const Tensor* tensor :
       {&in.u, &in.dt, &in.A, &in.B, &in.C, &in.D, &in.dt_bias, &in.z, &in.h0}) {
    if (tensor->defined() && tensor->requires_grad()) return true;
  }
  return false;
}

}  // namespace

bool selective_scan_has_kernel(const Tensor& u, int64_t state) {
  if (u.is_cpu()) return !is_narrow(u);
  return selective_scan_runs_on_device(u) && state <= selective_scan_device_states();
}

void selective_scan_into(const SelectiveScanTensors& in, const SelectiveScanOutput& out,
                         const Tensor& states) {
  if (in.u.is_cuda()) return selective_scan_on_device(in, out, states);
  with_precision_of(in.u, [&](auto number) { forward<decltype(number)>(in, out, states); });
}

void selective_scan_gradients(const SelectiveScanTensors& in, const Tensor& states,
                              const SelectiveScanOutput& d, const SelectiveScanTensors& grads) {
  if (in.u.is_cuda()) return selective_scan_backward_on_device(in, states, d, grads);
  with_precision_of(in.u, [&](auto number) { backward<decltype(number)>(in, states, d, grads); });
}

SelectiveScanOutput selective_scan(const SelectiveScanTensors& in) {
  check(in);
  if (is_narrow(in.u) && in.u.is_cpu()) {
    SelectiveScanTensors wide = in;
    for (Tensor* tensor : {&wide.u, &wide.dt, &wide.B, &wide.C, &wide.z}) {
      *tensor = widened(*tensor);
    }
    const SelectiveScanOutput out = selective_scan(wide);
    return {out.y.to(in.u.scalar_type()), out.h};
  }
  if (const int64_t most = selective_scan_device_states(); in.u.is_cuda() && in.A.size(1) > most) {
    return selective_scan_in_parts(in, most);
  }
  const Tensor h0 = in.h0.defined() ? in.h0
                                    : torch::zeros({in.u.size(0), in.u.size(2), in.A.size(1)},
                                                   in.A.options().requires_grad(false));
  const variable_list out = SelectiveScanFunction::apply(
      in.u, in.dt, in.A, in.B, in.C, stand_in(in.D, in.u), stand_in(in.dt_bias, in.u),
      stand_in(in.z, in.u), h0, stand_in(in.starts, in.u), static_cast<int64_t>(in.step_size),
      requires_gradient(in));
  return {out[0], out[1]};
}

}  // namespace longwave::ops
