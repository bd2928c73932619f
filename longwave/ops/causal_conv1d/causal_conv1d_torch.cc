// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/causal_conv1d/causal_conv1d_torch.h"

#include "longwave/ops/causal_conv1d/causal_conv1d_device_torch.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_operations_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <typename T>
void forward(const CausalConv1dInput& in, const CausalConv1dOutput& out) {
  causal_conv1d(CausalConv1dArgs<T>{.activation = in.activation,
                                    .x = view_of<const T, 3>(in.x),
                                    .w = view_of<const T, 2>(in.w),
                                    .b = view_of<const T, 1>(in.b),
                                    .history = view_of<const T, 3>(in.history),
                                    .starts = view_of<const uint8_t, 2>(in.starts),
                                    .y = view_of<T, 3>(out.y),
                                    .final_history = view_of<T, 3>(out.history)});
}

template <typename T>
void backward(const CausalConv1dInput& in, const CausalConv1dOutput& grad,
              const CausalConv1dInput& out) {
  Workspace workspace(causal_conv1d_backward_workspace_bytes(
      {in.x.size(0), in.x.size(1), in.x.size(2), in.w.size(1)}));
  causal_conv1d_backward(CausalConv1dGradArgs<T>{.activation = in.activation,
                                                 .x = view_of<const T, 3>(in.x),
                                                 .w = view_of<const T, 2>(in.w),
                                                 .b = view_of<const T, 1>(in.b),
                                                 .history = view_of<const T, 3>(in.history),
                                                 .starts = view_of<const uint8_t, 2>(in.starts),
                                                 .dy = view_of<const T, 3>(grad.y),
                                                 .dfinal = view_of<const T, 3>(grad.history),
                                                 .dx = view_of<T, 3>(out.x),
                                                 .dw = view_of<T, 2>(out.w),
                                                 .db = view_of<T, 1>(out.b),
                                                 .dhistory = view_of<T, 3>(out.history)},
                         workspace);
}

/// What autograd does not look at.
struct Constants {
  ConvActivation activation;
  Tensor starts;
};

class CausalConv1dFunction : public torch::autograd::Function<CausalConv1dFunction> {
 public:
  static variable_list forward(AutogradContext* context, const Constants& constants,
                               const Tensor& x, const Tensor& w, const Tensor& b,
                               const Tensor& history) {
    context->set_materialize_grads(false);
    context->saved_data["activation"] = static_cast<int64_t>(constants.activation);
    context->saved_data["starts"] = constants.starts;
    context->save_for_backward({x, w, b, history});
    const CausalConv1dInput in{constants.activation, with_rows(x),       w.detach(),
                               b.detach(),           with_rows(history), constants.starts};
    const CausalConv1dOutput out{empty_as(x), empty_as(history)};
    causal_conv1d_into(in, out);
    return {out.y, out.history};
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(),
                "causal_conv1d: second derivatives are not offered");
    const variable_list saved = context->get_saved_variables();
    const auto activation = static_cast<ConvActivation>(context->saved_data["activation"].toInt());
    const CausalConv1dInput in{
        activation, with_rows(saved[0]), saved[1],
        saved[2],   with_rows(saved[3]), context->saved_data["starts"].toTensor()};
    const CausalConv1dOutput grad{
        grads[0].defined() ? with_rows(grads[0]) : torch::zeros(in.x.sizes(), in.x.options()),
        with_rows(grads[1])};
    const CausalConv1dInput out{activation,     empty_as(in.x),       empty_as(in.w),
                                empty_as(in.b), empty_as(in.history), {}};
    causal_conv1d_gradients(in, grad, out);
    return {Tensor(), out.x, out.w, out.b, out.history};
  }
};

}  // namespace

bool causal_conv1d_has_kernel(const Tensor& x, int64_t width) {
  return x.is_cpu() ? !is_narrow(x) : causal_conv1d_runs_on_device(x, width);
}

void causal_conv1d_into(const CausalConv1dInput& in, const CausalConv1dOutput& out) {
  if (in.x.is_cuda()) return causal_conv1d_on_device(in, out);
  with_precision_of(in.x, [&](auto number) { forward<decltype(number)>(in, out); });
}

void causal_conv1d_gradients(const CausalConv1dInput& in, const CausalConv1dOutput& grad,
                             const CausalConv1dInput& out) {
  if (in.x.is_cuda()) return causal_conv1d_backward_on_device(in, grad, out);
  with_precision_of(in.x, [&](auto number) { backward<decltype(number)>(in, grad, out); });
}

CausalConv1dOutput causal_conv1d(const CausalConv1dInput& input) {
  require(input.x.dim() == 3 && input.w.dim() == 2 && input.w.size(1) >= 1, "causal_conv1d",
          "x must be (batch, time, channels), w (channels, width)");
  const int64_t channels = input.x.size(2), kept = input.w.size(1) - 1;
  if (!causal_conv1d_has_kernel(input.x, input.w.size(1))) {
    if (!input.x.is_cpu()) return causal_conv1d_of_operations(input);
    CausalConv1dInput wide = input;
    wide.x = widened(input.x);
    wide.history = widened(input.history);
    const CausalConv1dOutput out = causal_conv1d(wide);
    return {out.y.to(input.x.scalar_type()), out.history.to(input.x.scalar_type())};
  }
  const auto zeros = [](torch::IntArrayRef size, const Tensor& like) {
    return torch::zeros(size, like.options().requires_grad(false));
  };
  const Tensor history =
      input.history.defined() ? input.history : zeros({input.x.size(0), kept, channels}, input.x);
  const Tensor starts = input.starts.defined() ? input.starts.to(torch::kUInt8) : Tensor();
  const variable_list out = CausalConv1dFunction::apply(
      Constants{input.activation, starts}, input.x, input.w,
      input.b.defined() ? input.b : zeros({channels}, input.w), history);
  return {out[0], out[1]};
}

}  // namespace longwave::ops
