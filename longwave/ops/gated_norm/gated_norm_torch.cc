// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/gated_norm/gated_norm_torch.h"

#include "longwave/ops/gated_norm/gated_norm_device_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// (rows, channels) with channels adjacent; copied only if the strides allow no such view.
Tensor as_rows(const Tensor& tensor) { return with_rows(tensor).flatten(0, -2); }

struct Settings {
  GateOrder order;
  int64_t groups;
  double epsilon;
};

// The second of the inputs is z, or an empty tensor if there is none.
template <typename T>
void forward(const Settings& settings, const variable_list& in, const Tensor& y,
             const Tensor& inverse) {
  gated_norm(GatedNormArgs<T>{.order = settings.order,
                              .groups = settings.groups,
                              .epsilon = static_cast<T>(settings.epsilon),
                              .x = view_of<const T, 2>(in[0]),
                              .z = view_of<const T, 2>(in[1]),
                              .w = view_of<const T, 1>(in[2]),
                              .y = view_of<T, 2>(y),
                              .inverse = view_of<T, 2>(inverse)});
}

struct Gradients {
  Tensor dy;          // in
  Tensor dx, dz, dw;  // out
};

template <typename T>
void backward(GateOrder order, const variable_list& in, const Tensor& inverse,
              const Gradients& grads) {
  Workspace workspace(gated_norm_backward_workspace_bytes(in[0].size(1)));
  gated_norm_backward(GatedNormGradArgs<T>{.order = order,
                                           .x = view_of<const T, 2>(in[0]),
                                           .z = view_of<const T, 2>(in[1]),
                                           .w = view_of<const T, 1>(in[2]),
                                           .inverse = view_of<const T, 2>(inverse),
                                           .dy = view_of<const T, 2>(grads.dy),
                                           .dx = view_of<T, 2>(grads.dx),
                                           .dz = view_of<T, 2>(grads.dz),
                                           .dw = view_of<T, 1>(grads.dw)},
                      workspace);
}

variable_list operands(const Tensor& x, const Tensor& z, const Tensor& w) {
  return {as_rows(x), z.dim() == 1 ? Tensor() : as_rows(z), w.detach().contiguous()};
}

class GatedNormFunction : public torch::autograd::Function<GatedNormFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Settings& settings, const Tensor& x,
                        const Tensor& z, const Tensor& w) {
    const variable_list in = operands(x, z, w);
    const Tensor y = torch::empty(in[0].sizes(), x.options());
    const Tensor inverse = torch::empty({in[0].size(0), settings.groups}, w.options());
    if (x.is_cuda()) {
      gated_norm_on_device({settings.order, settings.epsilon, in[0], in[1], in[2], y, inverse});
    } else {
      with_precision_of(
          x, [&](auto number) { ops::forward<decltype(number)>(settings, in, y, inverse); });
    }
    context->saved_data["order"] = static_cast<int64_t>(settings.order);
    context->saved_data["inverse"] = inverse;
    context->save_for_backward({x, z, w});
    return y.view(x.sizes());
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "gated_norm: second derivatives are not offered");
    const variable_list saved = context->get_saved_variables();
    const variable_list in = operands(saved[0], saved[1], saved[2]);
    const auto empty = [](const Tensor& tensor) {
      return tensor.defined() ? torch::empty(tensor.sizes(), tensor.options()) : Tensor();
    };
    const Gradients all{as_rows(grads[0]), empty(in[0]), empty(in[1]), empty(in[2])};
    const auto order = static_cast<GateOrder>(context->saved_data["order"].toInt());
    const Tensor inverse = context->saved_data["inverse"].toTensor();
    if (in[0].is_cuda()) {
      gated_norm_backward_on_device(
          {order, in[0], in[1], in[2], inverse, all.dy, all.dx, all.dz, all.dw});
    } else {
      with_precision_of(
          in[0], [&](auto number) { ops::backward<decltype(number)>(order, in, inverse, all); });
    }
    const Tensor dz = all.dz.defined() ? all.dz.view(saved[1].sizes()) : Tensor();
    return {Tensor(), all.dx.view(saved[0].sizes()), dz, all.dw};
  }
};

/// The same as operations of torch, which differentiates them: the form of float64 on a GPU.
Tensor gated_norm_of_operations(const GatedNormInput& input) {
  const bool before = input.order == GateOrder::kBefore && input.z.defined();
  const Tensor v = before ? input.x * torch::silu(input.z) : input.x;
  const Tensor groups = v.unflatten(-1, {input.groups, v.size(-1) / input.groups});
  const Tensor inverse = (groups.square().mean(-1, true) + input.epsilon).rsqrt();
  const Tensor y = (groups * inverse).flatten(-2, -1) * input.w;
  return before || !input.z.defined() ? y : y * torch::silu(input.z);
}

}  // namespace

bool gated_norm_has_kernel(const Tensor& x) {
  return x.is_cpu() ? !is_narrow(x) : gated_norm_runs_on_device(x);
}

void gated_norm_into(const GatedNormInput& in, const Tensor& y, const Tensor& inverse) {
  const Settings settings{in.order, in.groups, in.epsilon};
  const variable_list operands{as_rows(in.x), as_rows(in.z), in.w};
  if (in.x.is_cuda()) {
    return gated_norm_on_device(
        {in.order, in.epsilon, operands[0], operands[1], operands[2], as_rows(y), inverse});
  }
  with_precision_of(in.x, [&](auto number) {
    forward<decltype(number)>(settings, operands, as_rows(y), inverse);
  });
}

void gated_norm_gradients(const GatedNormInput& in, const Tensor& inverse, const Tensor& dy,
                          const GatedNormInput& grads) {
  const variable_list operands{as_rows(in.x), as_rows(in.z), in.w};
  const Gradients all{as_rows(dy), as_rows(grads.x), as_rows(grads.z), grads.w};
  if (in.x.is_cuda()) {
    return gated_norm_backward_on_device(
        {in.order, operands[0], operands[1], operands[2], inverse, all.dy, all.dx, all.dz, all.dw});
  }
  with_precision_of(
      in.x, [&](auto number) { backward<decltype(number)>(in.order, operands, inverse, all); });
}

Tensor gated_norm(const GatedNormInput& input) {
  require(input.x.dim() >= 2 && input.w.dim() == 1, "gated_norm",
          "x must be (..., channels) with two extents or more, w (channels)");
  require(!input.z.defined() || input.z.sizes() == input.x.sizes(), "gated_norm",
          "z must have the shape of x");
  require(input.groups >= 1, "gated_norm", "groups must be at least 1");
  if (!gated_norm_has_kernel(input.x)) {
    if (!input.x.is_cpu()) return gated_norm_of_operations(input);
    GatedNormInput wide = input;
    wide.x = widened(input.x);
    wide.z = widened(input.z);
    return gated_norm(wide).to(input.x.scalar_type());
  }
  const Tensor z = input.z.defined() ? input.z : torch::empty({0}, input.x.options());
  return GatedNormFunction::apply(Settings{input.order, input.groups, input.epsilon}, input.x, z,
                                  input.w);
}

}  // namespace longwave::ops
