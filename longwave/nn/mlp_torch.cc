// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/mlp_torch.h"

#include "longwave/nn/mixing_torch.h"
#include "longwave/nn/tiles_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::nn {
namespace {

using ops::with_precision_of;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// (batch, time, 2 hidden) to (batch, time, hidden): the first half times silu of the second.
class SwigluFunction : public torch::autograd::Function<SwigluFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& up) {
    context->save_for_backward({up});
    const int64_t hidden = up.size(2) / 2;
    const torch::Tensor y = torch::empty({up.size(0), up.size(1), hidden}, up.options());
    with_precision_of(up, [&](auto number) {
      using T = decltype(number);
      over_tiles(up.size(0), up.size(1), [&](const Tile& tile) {
        const View<const T, 2> both = tile.rows<const T>(up);
        ops::gate<T>({.f = ops::Activation::kSilu,
                      .value = both.slice(1, 0, hidden),
                      .gate = both.slice(1, hidden, hidden),
                      .y = tile.rows<T>(y)});
      });
    });
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const torch::Tensor up = context->get_saved_variables()[0];
    const torch::Tensor dy = gradients[0].contiguous(), dup = torch::empty_like(up);
    const int64_t hidden = up.size(2) / 2;
    with_precision_of(up, [&](auto number) {
      using T = decltype(number);
      over_tiles(up.size(0), up.size(1), [&](const Tile& tile) {
        const View<const T, 2> both = tile.rows<const T>(up);
        const View<T, 2> dboth = tile.rows<T>(dup);
        ops::gate_grad<T>({.f = ops::Activation::kSilu,
                           .value = both.slice(1, 0, hidden),
                           .gate = both.slice(1, hidden, hidden),
                           .dy = tile.rows<const T>(dy),
                           .dvalue = dboth.slice(1, 0, hidden),
                           .dgate = dboth.slice(1, hidden, hidden)});
      });
    });
    return {dup};
  }
};

}  // namespace

torch::Tensor mlp(const MlpCall& call, const ParameterLookup& parameters) {
  torch::Tensor inner = linear(call.h, scoped(parameters, "up"));
  if (call.kind == MlpKind::kSwiglu) {
    const int64_t hidden = inner.size(2) / 2;
    inner = inner.is_cuda() || ops::is_narrow(inner)
                ? inner.slice(2, 0, hidden) * torch::silu(inner.slice(2, hidden))
                : SwigluFunction::apply(inner);
  }
  const ops::Activation f =
      call.kind == MlpKind::kGelu ? ops::Activation::kGelu : ops::Activation::kIdentity;
  return mixing(
      {.kind = MixingKind::kLinear, .activation = f, .x = call.x, .v = inner, .mask = call.mask},
      scoped(parameters, "down"));
}

}  // namespace longwave::nn
