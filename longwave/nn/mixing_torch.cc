// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/mixing_torch.h"

#include "longwave/nn/tiles_torch.h"
#include "longwave/ops/autocast_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::nn {
namespace {

using ops::with_precision_of;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = c10::optional<torch::Tensor>;

/// x (batch, time, channels) as (rows, channels).
torch::Tensor rows_of(const torch::Tensor& x) { return x.view({-1, x.size(2)}); }

bool is_gated(MixingKind kind) {
  return kind == MixingKind::kGlu || kind == MixingKind::kHalfGlu1 || kind == MixingKind::kHalfGlu2;
}

torch::Tensor activated(ops::Activation f, const torch::Tensor& v) {
  if (f == ops::Activation::kIdentity) return v;
  const torch::Tensor active = torch::empty_like(v);
  with_precision_of(v, [&](auto number) {
    using T = decltype(number);
    over_tiles(v.size(0), v.size(1), [&](const Tile& tile) {
      ops::activate<T>(f, elements(tile.rows<const T>(v)), elements(tile.rows<T>(active)));
    });
  });
  return active;
}

/// The branch between the activation and the residual sum, kept apart from its graph.
struct Branch {
  MixingKind kind;
  int64_t channels;          // of the result
  torch::Tensor v, z, mask;  // z: the projection of f(v); in `backward` only of the gated kinds,
                             // and v only if there is a projection or an activation

  /// What the gate multiplies, in a tile.
  template <typename T>
  View<const T, 2> value(const Tile& tile, const torch::Tensor& active) const {
    if (kind == MixingKind::kGlu) return tile.rows<const T>(z).slice(1, 0, channels);
    return tile.rows<const T>(kind == MixingKind::kHalfGlu1 ? active : v);
  }
  template <typename T>
  View<T, 2> gate(const Tile& tile, const torch::Tensor& projection) const {
    return tile.rows<T>(projection).slice(1, projection.size(2) - channels, channels);
  }

  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& active) const;

  struct Slopes {
    torch::Tensor dv, dz;   // dv: what does not pass through the activation, or undefined
    torch::Tensor dactive;  // what does not pass through W, or undefined
  };
  Slopes backward(const torch::Tensor& dy, const torch::Tensor& active) const;
};

torch::Tensor Branch::forward(const torch::Tensor& x, const torch::Tensor& active) const {
  const torch::Tensor y = torch::empty_like(x);
  with_precision_of(v, [&](auto number) {
    using T = decltype(number);
    over_tiles(v.size(0), v.size(1), [&](const Tile& tile) {
      const View<T, 2> out = tile.rows<T>(y);
      View<const T, 2> h = out;
      if (is_gated(kind)) {
        ops::gate<T>({.value = value<T>(tile, active), .gate = gate<const T>(tile, z), .y = out});
      } else {
        h = tile.rows<const T>(kind == MixingKind::kLinear ? z : active);
      }
      ops::residual<T>({.x = tile.rows<const T>(x), .m = tile.mask<T>(mask), .h = h, .y = out});
    });
  });
  return y;
}

Branch::Slopes Branch::backward(const torch::Tensor& dy, const torch::Tensor& active) const {
  Slopes slopes;
  if (is_gated(kind)) slopes.dz = torch::empty_like(z);
  // Where the masked gradient is written, and over it that of the gated value.
  torch::Tensor target = slopes.dz;
  if (kind == MixingKind::kNone || kind == MixingKind::kLinear) target = torch::empty_like(dy);
  if (kind == MixingKind::kHalfGlu1 || kind == MixingKind::kHalfGlu2) {
    target = torch::empty_like(v);
  }
  with_precision_of(dy, [&](auto number) {
    using T = decltype(number);
    over_tiles(dy.size(0), dy.size(1), [&](const Tile& tile) {
      const View<T, 2> dh = tile.rows<T>(target).slice(1, 0, channels);
      ops::residual<T>({.x = {}, .m = tile.mask<T>(mask), .h = tile.rows<const T>(dy), .y = dh});
      if (!is_gated(kind)) return;
      ops::gate_grad<T>({.value = value<T>(tile, active),
                         .gate = gate<const T>(tile, z),
                         .dy = dh,
                         .dvalue = dh,
                         .dgate = gate<T>(tile, slopes.dz)});
    });
  });
  if (kind == MixingKind::kLinear) slopes.dz = target;
  if (kind == MixingKind::kHalfGlu2) slopes.dv = target;
  if (kind == MixingKind::kNone || kind == MixingKind::kHalfGlu1) slopes.dactive = target;
  return slopes;
}

/// dv = dactive f'(v) + direct, tile by tile.
torch::Tensor through_activation(ops::Activation f, const torch::Tensor& v,
                                 const torch::Tensor& dactive, const torch::Tensor& direct) {
  if (f == ops::Activation::kIdentity && !direct.defined()) return dactive;
  const torch::Tensor dv = torch::empty_like(v);
  with_precision_of(v, [&](auto number) {
    using T = decltype(number);
    over_tiles(v.size(0), v.size(1), [&](const Tile& tile) {
      const View<T, 2> out = tile.rows<T>(dv);
      ops::activate_grad<T>(f, elements(tile.rows<const T>(v)),
                            elements(tile.rows<const T>(dactive)), elements(out));
      if (!direct.defined()) return;
      ops::residual<T>({.x = tile.rows<const T>(direct), .m = {}, .h = out, .y = out});
    });
  });
  return dv;
}

class MixingFunction : public torch::autograd::Function<MixingFunction> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& v, const OptionalTensor& W,
                               const OptionalTensor& b, const OptionalTensor& mask, MixingKind kind,
                               ops::Activation activation) {
    Branch branch{kind, x.size(2), v, {}, mask.value_or(torch::Tensor())};
    const torch::Tensor active = activated(activation, v);
    if (W) {
      branch.z = torch::addmm(*b, rows_of(active), W->t()).view({v.size(0), v.size(1), W->size(0)});
    }
    // A branch that is added as it is has no need of it.
    const bool reads_v = W || activation != ops::Activation::kIdentity;
    context->save_for_backward({reads_v ? v : torch::Tensor(), W.value_or(torch::Tensor()),
                                is_gated(kind) ? branch.z : torch::Tensor(), branch.mask});
    context->saved_data["kind"] = static_cast<int64_t>(kind);
    context->saved_data["activation"] = static_cast<int64_t>(activation);
    return branch.forward(x, active);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto kind = static_cast<MixingKind>(context->saved_data["kind"].toInt());
    const auto f = static_cast<ops::Activation>(context->saved_data["activation"].toInt());
    const torch::Tensor dy = gradients[0].contiguous();
    const torch::Tensor &v = saved[0], &W = saved[1];
    const Branch branch{kind, dy.size(2), v, saved[2], saved[3]};
    const torch::Tensor active = W.defined() ? activated(f, v) : torch::Tensor();
    Branch::Slopes slopes = branch.backward(dy, active);
    torch::Tensor dW, db;
    if (W.defined()) {
      const torch::Tensor dz = rows_of(slopes.dz);
      dW = torch::mm(dz.t(), rows_of(active));
      db = dz.sum(0);
      const torch::Tensor through = slopes.dactive.defined()
                                        ? torch::addmm(rows_of(slopes.dactive), dz, W)
                                        : torch::mm(dz, W);
      slopes.dactive = through.view(v.sizes());
    }
    const torch::Tensor dv = through_activation(f, v, slopes.dactive, slopes.dv);
    return {dy, dv, dW, db, torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

torch::Tensor apply(ops::Activation f, const torch::Tensor& v) {
  switch (f) {
    case ops::Activation::kIdentity:
      return v;
    case ops::Activation::kExp:
      return torch::exp(v);
    case ops::Activation::kSigmoid:
      return torch::sigmoid(v);
    case ops::Activation::kSilu:
      return torch::silu(v);
    case ops::Activation::kGelu:
      return torch::gelu(v, "tanh");
  }
  return v;
}

/// The same as operations of torch, which differentiates them: the form on a GPU and in bfloat16.
torch::Tensor mixing_of_operations(const MixingCall& call, const torch::Tensor& weight,
                                   const torch::Tensor& bias) {
  torch::Tensor h = apply(call.activation, call.v);
  if (weight.defined()) {
    const torch::Tensor z = torch::linear(h, weight.to(h.scalar_type()), bias.to(h.scalar_type()));
    switch (call.kind) {
      case MixingKind::kNone:
        break;
      case MixingKind::kLinear:
        h = z;
        break;
      case MixingKind::kGlu:
        h = torch::glu(z, -1);
        break;
      case MixingKind::kHalfGlu1:
        h = h * torch::sigmoid(z);
        break;
      case MixingKind::kHalfGlu2:
        h = call.v * torch::sigmoid(z);
        break;
    }
  }
  if (!call.mask.defined()) return call.x + h;
  return torch::addcmul(call.x, call.mask, h.to(call.x.scalar_type()));
}

}  // namespace

torch::Tensor mixing(const MixingCall& call, const ParameterLookup& parameters) {
  const ops::WithoutAutocast as_given;
  torch::Tensor weight, bias;
  if (call.kind != MixingKind::kNone) {
    weight = parameters("weight");
    bias = parameters("bias");
  }
  if (call.v.is_cuda() || ops::is_narrow(call.v)) return mixing_of_operations(call, weight, bias);
  return MixingFunction::apply(call.x.contiguous(), call.v.contiguous(), ops::optional(weight),
                               ops::optional(bias), ops::optional(call.mask), call.kind,
                               call.activation);
}

}  // namespace longwave::nn
