// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/attention/attention_torch.h"

#include "longwave/ops/attention/attention_operations_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/tensor_view_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

AttentionShape shape_of(const AttentionInput& in) {
  return {in.q.size(2), in.k.size(2), in.q.size(3), in.q.size(1) == 1 ? in.q.size(0) : 1};
}

template <typename T>
void forward(const AttentionInput& in, const Tensor& y, const Tensor& lse) {
  Workspace workspace(attention_workspace_bytes(shape_of(in)));
  attention(AttentionArgs<T>{.scale = static_cast<T>(in.scale),
                             .window = in.window,
                             .q = view_of<const T, 4>(in.q),
                             .k = view_of<const T, 4>(in.k),
                             .v = view_of<const T, 4>(in.v),
                             .ring_k = {},
                             .ring_v = {},
                             .seen = view_of<const int64_t, 1>(in.seen),
                             .starts = view_of<const uint8_t, 2>(in.starts),
                             .y = view_of<T, 4>(y),
                             .lse = view_of<T, 3>(lse)},
            workspace);
}

struct Gradients {
  Tensor y, lse, dy;  // in
  Tensor q, k, v;     // out
};

template <typename T>
void backward(const AttentionInput& in, const Gradients& grads) {
  Workspace workspace(attention_backward_workspace_bytes(shape_of(in)));
  attention_backward(AttentionGradArgs<T>{.scale = static_cast<T>(in.scale),
                                          .window = in.window,
                                          .q = view_of<const T, 4>(in.q),
                                          .k = view_of<const T, 4>(in.k),
                                          .v = view_of<const T, 4>(in.v),
                                          .seen = view_of<const int64_t, 1>(in.seen),
                                          .starts = view_of<const uint8_t, 2>(in.starts),
                                          .y = view_of<const T, 4>(grads.y),
                                          .lse = view_of<const T, 3>(grads.lse),
                                          .dy = view_of<const T, 4>(grads.dy),
                                          .dq = view_of<T, 4>(grads.q),
                                          .dk = view_of<T, 4>(grads.k),
                                          .dv = view_of<T, 4>(grads.v)},
                     workspace);
}

/// What autograd does not look at.
struct Constants {
  double scale;
  int64_t window;
  Tensor seen, starts;
};

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Constants& constants, const Tensor& q,
                        const Tensor& k, const Tensor& v) {
    const AttentionInput in{constants.scale, constants.window, with_rows(q),    with_rows(k),
                            with_rows(v),    constants.seen,   constants.starts};
    const Tensor y = empty_as(q);
    const Tensor lse = torch::empty({q.size(0), q.size(2), q.size(1)}, q.options());
    with_precision_of(q, [&](auto number) { ops::forward<decltype(number)>(in, y, lse); });
    context->saved_data["scale"] = constants.scale;
    context->saved_data["window"] = constants.window;
    context->saved_data["seen"] = constants.seen;
    context->saved_data["starts"] = constants.starts;
    context->saved_data["lse"] = lse;
    context->save_for_backward({q, k, v, y});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "attention: second derivatives are not offered");
    auto& data = context->saved_data;
    const variable_list saved = context->get_saved_variables();
    const AttentionInput in{data["scale"].toDouble(), data["window"].toInt(),
                            with_rows(saved[0]),      with_rows(saved[1]),
                            with_rows(saved[2]),      data["seen"].toTensor(),
                            data["starts"].toTensor()};
    const Gradients all{with_rows(saved[3]), data["lse"].toTensor(), with_rows(grads[0]),
                        empty_as(in.q),      empty_as(in.k),         empty_as(in.v)};
    with_precision_of(in.q, [&](auto number) { ops::backward<decltype(number)>(in, all); });
    return {Tensor(), all.q, all.k, all.v};
  }
};

template <typename T>
void turn(const RotarySettings& settings, RotaryDirection direction, const Tensor& start,
          const Tensor& x, const Tensor& y) {
  rotary(RotaryArgs<T>{.pairs = settings.pairs,
                       .direction = direction,
                       .base = settings.base,
                       .dims = settings.dims,
                       .start = view_of<const int64_t, 1>(start),
                       .x = view_of<const T, 4>(x),
                       .y = view_of<T, 4>(y)});
}

Tensor turned(const RotarySettings& settings, RotaryDirection direction, const Tensor& start,
              const Tensor& x) {
  const Tensor y = empty_as(x);
  with_precision_of(
      x, [&](auto number) { turn<decltype(number)>(settings, direction, start, x.detach(), y); });
  return y;
}

class RotaryFunction : public torch::autograd::Function<RotaryFunction> {
 public:
  struct Constants {
    RotarySettings settings;
    Tensor start;
  };

  static Tensor forward(AutogradContext* context, const Constants& constants, const Tensor& x) {
    context->saved_data["pairs"] = static_cast<int64_t>(constants.settings.pairs);
    context->saved_data["base"] = constants.settings.base;
    context->saved_data["dims"] = constants.settings.dims;
    context->saved_data["start"] = constants.start;
    return turned(constants.settings, RotaryDirection::kForward, constants.start, x);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(), "rotary: second derivatives are not offered");
    auto& data = context->saved_data;
    const RotarySettings settings{static_cast<RotaryPairs>(data["pairs"].toInt()),
                                  data["base"].toDouble(), data["dims"].toInt()};
    return {Tensor(),
            turned(settings, RotaryDirection::kInverse, data["start"].toTensor(), grads[0])};
  }
};

// Indices (batch, rows) into the second extent of a tensor (batch, n, kv_heads, head_dim).
Tensor taken(const Tensor& from, const Tensor& index) {
  const Tensor wide = index.unsqueeze(-1).unsqueeze(-1);
  return from.gather(1, wide.expand({index.size(0), index.size(1), from.size(2), from.size(3)}));
}

}  // namespace

Tensor attention(const AttentionInput& input) {
  require(input.q.dim() == 4 && input.k.dim() == 4 && input.v.dim() == 4, "attention",
          "q, k and v must be (batch, time, heads, head_dim)");
  if (input.q.is_cuda()) return attention_of_operations(input);
  const Tensor starts = input.starts.defined() ? input.starts.to(torch::kUInt8) : Tensor();
  return AttentionFunction::apply(Constants{input.scale, input.window, input.seen, starts}, input.q,
                                  input.k, input.v);
}

Tensor unrolled_ring(const Tensor& ring, const Tensor& seen) {
  const int64_t slots = ring.size(1);
  const Tensor age = torch::arange(slots - 1, 0, -1, seen.options());
  return taken(ring, (seen.unsqueeze(1) - age.unsqueeze(0)).remainder(slots));
}

Tensor rolled_ring(const RingUpdate& update) {
  const int64_t slots = update.ring.size(1), time = update.rows.size(1);
  const Tensor slot = torch::arange(slots, update.seen.options()).unsqueeze(0);
  const Tensor seen = update.seen.unsqueeze(1);
  const Tensor age = (seen - 1 - slot).remainder(slots) + 1;
  const Tensor fresh = age <= seen.clamp_max(time);
  const Tensor index = torch::where(fresh, time - age, time + slot);
  return taken(torch::cat({update.rows, update.ring}, 1), index);
}

Tensor seen_after(const Tensor& seen, int64_t time, const Tensor& starts) {
  if (!starts.defined() || time == 0) return seen + time;
  const Tensor step = torch::arange(time, seen.options()).unsqueeze(0);
  const Tensor last =
      torch::where(starts.to(torch::kBool), step, torch::full_like(step, -1)).amax(1);
  return torch::where(last >= 0, time - last, seen + time);
}

Tensor rotary(const RotarySettings& settings, const Tensor& x, const Tensor& start) {
  require(x.dim() == 4, "rotary", "x must be (batch, time, heads, head_dim)");
  if (x.is_cuda()) {
    return rotary_of_operations(settings, x, positions_of_steps(start, Tensor(), x));
  }
  return RotaryFunction::apply(RotaryFunction::Constants{settings, start}, x);
}

}  // namespace longwave::ops
