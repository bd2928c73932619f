// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/causal_conv1d/causal_conv1d_operations_torch.h"

#include "longwave/base/error.h"
#include "longwave/ops/operand_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;

/// Which sequence each input belongs to, those of the history to the first.
struct Sequences {
  Tensor of_step;   // (batch, time), or undefined if there is one
  Tensor of_input;  // (batch, width - 1 + time)

  Sequences(const Tensor& starts, int64_t kept) {
    if (!starts.defined()) return;
    of_step = starts.ne(0).cumsum(1);
    of_input = torch::constant_pad_nd(of_step, {kept, 0});
  }

  /// The inputs from `begin` on, without those of other sequences than `wanted`, which is
  /// (batch, inputs) or (batch, 1).
  Tensor only(const Tensor& inputs, int64_t begin, const Tensor& wanted) const {
    if (!of_step.defined()) return inputs;
    const Tensor own = of_input.slice(1, begin, begin + inputs.size(1)) == wanted;
    return torch::where(own.unsqueeze(2), inputs, torch::zeros({}, inputs.options()));
  }
};

}  // namespace

CausalConv1dOutput causal_conv1d_of_operations(const CausalConv1dInput& in) {
  const int64_t batch = in.x.size(0), time = in.x.size(1), channels = in.x.size(2);
  const int64_t width = in.w.size(1), kept = width - 1;
  const torch::ScalarType type = in.x.scalar_type();
  const auto is = [](const Tensor& x, torch::IntArrayRef shape) {
    return !x.defined() || x.sizes() == shape;
  };
  require(in.w.size(0) == channels && is(in.b, {channels}) &&
              is(in.history, {batch, kept, channels}) && is(in.starts, {batch, time}) &&
              (!in.history.defined() || in.history.scalar_type() == type),
          "causal_conv1d", "shapes or types disagree");
  const Tensor before = or_zeros(in.history, {batch, kept, channels}, in.x);
  const Tensor inputs = torch::cat({before, in.x}, 1), exact = widened(inputs);
  const Sequences sequences(in.starts, kept);
  Tensor sum = or_zeros(in.b, {channels}, in.w).expand_as(in.x);
  for (int64_t tap = 0; tap < width; ++tap) {
    const Tensor reached = exact.slice(1, tap, tap + time);
    sum = torch::addcmul(sum, sequences.only(reached, tap, sequences.of_step), in.w.select(1, tap));
  }
  const Tensor y = in.activation == ConvActivation::kSilu ? torch::silu(sum) : sum;
  Tensor last = inputs.slice(1, time);
  if (in.starts.defined() && time > 0) {
    last = sequences.only(last, time, sequences.of_step.slice(1, time - 1));
  }
  return {y.to(type).contiguous(), last.contiguous()};
}

}  // namespace longwave::ops
