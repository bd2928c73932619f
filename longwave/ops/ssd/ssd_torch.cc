// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_torch.h"

#include <array>

#include "longwave/base/error.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/ssd/ssd.h"
#include "longwave/ops/ssd/ssd_device_torch.h"
#include "longwave/ops/ssd/ssd_operations_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Operands in the order in which the Function takes them. A tensor that was left out has no
// elements on the way through the Function, and is undefined inside.
enum Place { kX, kDt, kA, kB, kC, kD, kBias, kH0, kStarts, kCount };
using Tensors = std::array<Tensor, kCount>;

SsdSize size_of(const Tensors& in) {
  return {.batch = in[kX].size(0),
          .time = in[kX].size(1),
          .heads = in[kX].size(2),
          .head_dim = in[kX].size(3),
          .groups = in[kB].size(2),
          .state = in[kB].size(3)};
}

View<const uint8_t, 2> starts_of(const Tensor& starts) {
  if (!starts.defined()) return {};
  return {static_cast<const uint8_t*>(starts.data_ptr()),
          {starts.size(0), starts.size(1)},
          {starts.stride(0), starts.stride(1)}};
}

template <typename T>
SsdLimits<T> limits_of(double least, double most) {
  return {static_cast<T>(least), static_cast<T>(most)};
}

// The skip as (heads, head_dim or 1).
Tensor skip_of(const Tensor& D) { return D.defined() && D.dim() == 1 ? D.unsqueeze(1) : D; }

Tensors tensors_of(const SsdInput& in) {
  return {in.x, in.dt, in.A, in.B, in.C, skip_of(in.D), in.dt_bias, in.h0, in.starts};
}

/// The operands by their names.
SsdInput input_of(const Tensors& in, double least, double most) {
  return {.x = in[kX],
          .dt = in[kDt],
          .A = in[kA],
          .B = in[kB],
          .C = in[kC],
          .D = in[kD],
          .dt_bias = in[kBias],
          .h0 = in[kH0],
          .starts = in[kStarts],
          .dt_min = least,
          .dt_max = most};
}

Tensor state_like(const Tensors& in) {
  const SsdSize size = size_of(in);
  return torch::zeros({size.batch, size.heads, size.head_dim, size.state}, in[kA].options());
}

template <typename T>
void run_forward(const Tensors& in, const SsdLimits<T>& limits, const SsdOutput& out) {
  Workspace workspace(ssd_workspace_bytes(size_of(in)));
  ssd(SsdArgs<T>{.x = view_of<const T, 4>(in[kX]),
                 .dt = view_of<const T, 3>(in[kDt]),
                 .A = view_of<const T, 1>(in[kA]),
                 .B = view_of<const T, 4>(in[kB]),
                 .C = view_of<const T, 4>(in[kC]),
                 .D = view_of<const T, 2>(in[kD]),
                 .dt_bias = view_of<const T, 1>(in[kBias]),
                 .starts = starts_of(in[kStarts]),
                 .limits = limits,
                 .h = view_of<T, 4>(out.h),
                 .y = view_of<T, 4>(out.y)},
      workspace);
}

template <typename T>
void run_backward(const Tensors& in, const SsdLimits<T>& limits, const SsdOutput& d,
                  const Tensors& out) {
  Workspace workspace(ssd_backward_workspace_bytes(size_of(in)));
  ssd_backward(SsdGradArgs<T>{.x = view_of<const T, 4>(in[kX]),
                              .dt = view_of<const T, 3>(in[kDt]),
                              .A = view_of<const T, 1>(in[kA]),
                              .B = view_of<const T, 4>(in[kB]),
                              .C = view_of<const T, 4>(in[kC]),
                              .D = view_of<const T, 2>(in[kD]),
                              .dt_bias = view_of<const T, 1>(in[kBias]),
                              .starts = starts_of(in[kStarts]),
                              .limits = limits,
                              .h0 = view_of<const T, 4>(in[kH0]),
                              .dy = view_of<const T, 4>(d.y),
                              .dh = view_of<const T, 4>(d.h),
                              .dx = view_of<T, 4>(out[kX]),
                              .ddt = view_of<T, 3>(out[kDt]),
                              .dA = view_of<T, 1>(out[kA]),
                              .dB = view_of<T, 4>(out[kB]),
                              .dC = view_of<T, 4>(out[kC]),
                              .dD = view_of<T, 2>(out[kD]),
                              .ddt_bias = view_of<T, 1>(out[kBias]),
                              .dh0 = view_of<T, 4>(out[kH0])},
               workspace);
}

// Room for the gradients of what is there, and of the initial state.
Tensors gradients_like(const Tensors& in) {
  Tensors out;
  for (int i = kX; i < kH0; ++i) {
    if (in[i].defined()) out[i] = torch::empty(in[i].sizes(), in[i].options());
  }
  const SsdSize size = size_of(in);
  out[kH0] = torch::empty({size.batch, size.heads, size.head_dim, size.state}, in[kA].options());
  return out;
}

class SsdFunction : public torch::autograd::Function<SsdFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& dt,
                               const Tensor& A, const Tensor& B, const Tensor& C, const Tensor& D,
                               const Tensor& dt_bias, const Tensor& h0, const Tensor& starts,
                               double least, double most) {
    variable_list all{x, dt, A, B, C, D, dt_bias, h0, starts};
    context->saved_data["least"] = least;
    context->saved_data["most"] = most;
    context->set_materialize_grads(false);
    const Tensors in = present(all);
    const SsdOutput out{
        torch::empty(x.sizes(), x.options()),
        in[kH0].defined() ? in[kH0].clone(torch::MemoryFormat::Contiguous) : state_like(in)};
    ssd_into(input_of(in, least, most), out);
    context->save_for_backward(std::move(all));
    return {out.y, out.h};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "ssd: second derivatives are not offered");
    const Tensors in = present(context->get_saved_variables());
    const double least = context->saved_data["least"].toDouble();
    const double most = context->saved_data["most"].toDouble();
    const SsdOutput d{grads[0].defined() ? grads[0].resolve_neg() : torch::zeros_like(in[kX]),
                      grads[1].defined() ? grads[1].resolve_neg() : Tensor()};
    const Tensors out = gradients_like(in);
    ssd_gradients(input_of(in, least, most), d, input_of(out, least, most));
    variable_list result(out.begin(), out.end());
    if (!in[kH0].defined()) result[kH0] = Tensor();
    // The two limits.
    result.resize(kCount + 2);
    return result;
  }

 private:
  // Lazy negatives become numbers, and tensors of rank 0 undefined: they stand for those left out.
  static Tensors present(const variable_list& all) {
    Tensors out;
    for (int i = kX; i < kCount; ++i) {
      if (all[i].dim() > 0) out[i] = all[i].detach().resolve_neg();
    }
    return out;
  }
};

}  // namespace

bool ssd_has_kernel(const Tensor& x, int64_t state) {
  return x.is_cpu() ? !is_narrow(x) : ssd_runs_on_device(x, state);
}

void ssd_into(const SsdInput& in, const SsdOutput& out) {
  const Tensors operands = tensors_of(in);
  if (in.x.is_cuda()) return ssd_on_device(input_of(operands, in.dt_min, in.dt_max), out);
  with_precision_of(in.x, [&](auto number) {
    run_forward(operands, limits_of<decltype(number)>(in.dt_min, in.dt_max), out);
  });
}

void ssd_gradients(const SsdInput& in, const SsdOutput& d, const SsdInput& grads) {
  const Tensors operands = tensors_of(in), out = tensors_of(grads);
  if (in.x.is_cuda()) {
    return ssd_backward_on_device(input_of(operands, in.dt_min, in.dt_max), d,
                                  input_of(out, in.dt_min, in.dt_max));
  }
  with_precision_of(in.x, [&](auto number) {
    run_backward(operands, limits_of<decltype(number)>(in.dt_min, in.dt_max), d, out);
  });
}

SsdOutput ssd(const SsdInput& input) {
  const bool has_kernel = input.B.dim() == 4 && ssd_has_kernel(input.x, input.B.size(3));
  if (is_narrow(input.x) && !has_kernel) {
    SsdInput wide = input;
    for (Tensor* tensor : {&wide.x, &wide.dt, &wide.B, &wide.C}) *tensor = widened(*tensor);
    const SsdOutput out = ssd(wide);
    return {out.y.to(input.x.scalar_type()), out.h};
  }
  if (!input.x.is_cpu() && !has_kernel) return ssd_of_operations(input);
  const auto wide = torch::TensorOptions(input.x.scalar_type() == torch::kFloat64 ? torch::kFloat64
                                                                                  : torch::kFloat32)
                        .device(input.x.device());
  const auto type = is_narrow(input.x) ? wide.dtype(input.x.scalar_type()) : wide;
  const Tensor D = skip_of(input.D);
  require_tensor("ssd", "x", input.x, type, 4);
  require_tensor("ssd", "dt", input.dt, type, 3);
  require_tensor("ssd", "A", input.A, wide, 1);
  require_tensor("ssd", "B", input.B, type, 4);
  require_tensor("ssd", "C", input.C, type, 4);
  if (D.defined()) require_tensor("ssd", "D", D, wide, 2);
  if (input.dt_bias.defined()) require_tensor("ssd", "dt_bias", input.dt_bias, wide, 1);
  if (input.h0.defined()) require_tensor("ssd", "h0", input.h0, wide, 4);
  Tensor starts = input.starts;
  if (starts.defined() && starts.scalar_type() == torch::kBool) starts = starts.view(torch::kUInt8);
  if (starts.defined()) require_tensor("ssd", "starts", starts, type.dtype(torch::kUInt8), 2);
  // Undefined tensors cannot enter a Function: those left out are of rank 0.
  const auto given = [&](const Tensor& tensor) {
    return tensor.defined() ? tensor : torch::empty({}, input.x.options());
  };
  const variable_list out = SsdFunction::apply(input.x, input.dt, input.A, input.B, input.C,
                                               given(D), given(input.dt_bias), given(input.h0),
                                               given(starts), input.dt_min, input.dt_max);
  return {out[0], out[1]};
}

}  // namespace longwave::ops
