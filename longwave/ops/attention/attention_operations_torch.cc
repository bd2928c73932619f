// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/attention/attention_operations_torch.h"

#include <limits>
#include <vector>

#include "longwave/ops/autocast_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;

/// Which keys a step sees: (batch or 1, time, past + time) bool.
Tensor visible(const AttentionInput& in) {
  const int64_t time = in.q.size(1), rows = in.k.size(1), past = rows - time;
  const auto whole = in.q.options().dtype(torch::kInt64).requires_grad(false);
  const Tensor position = torch::arange(-past, time, whole);  // of the keys
  const Tensor age = (torch::arange(time, whole).unsqueeze(1) - position.unsqueeze(0)).unsqueeze(0);
  Tensor seen = (age >= 0) & (age < in.window);
  if (in.seen.defined()) {
    seen =
        seen & (position.unsqueeze(0) >= -in.seen.to(position.device()).unsqueeze(1)).unsqueeze(1);
  }
  if (in.starts.defined()) {
    const Tensor sequence = in.starts.to(torch::kInt64).cumsum(1);  // 0: the one that came before
    const Tensor of_keys = torch::constant_pad_nd(sequence, {past, 0});
    seen = seen & (sequence.unsqueeze(2) == of_keys.unsqueeze(1));
  }
  return seen;
}

}  // namespace

Tensor attention_of_operations(const AttentionInput& in) {
  const WithoutAutocast as_given;
  const int64_t kv_heads = in.k.size(2), share = in.q.size(2) / kv_heads;
  const Tensor q = in.q.unflatten(2, {kv_heads, share}).permute({0, 2, 3, 1, 4});
  const Tensor k = in.k.permute({0, 2, 3, 1}).unsqueeze(2);
  const Tensor v = in.v.transpose(1, 2).unsqueeze(2);
  const Tensor hidden = visible(in).logical_not().unsqueeze(1).unsqueeze(1);
  const Tensor scores = torch::matmul(q, k) * in.scale;  // (batch, kv_heads, share, time, rows)
  const Tensor weights =
      scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()).softmax(-1);
  return torch::matmul(weights, v).permute({0, 3, 1, 2, 4}).flatten(2, 3).contiguous();
}

Tensor positions_of_steps(const Tensor& seen, const Tensor& starts, const Tensor& like) {
  const int64_t batch = like.size(0), time = like.size(1);
  const auto whole = like.options().dtype(torch::kInt64).requires_grad(false);
  const Tensor step = torch::arange(time, whole).expand({batch, time});
  const Tensor counted = seen.defined() ? step + seen.to(whole.device()).unsqueeze(1) : step;
  if (!starts.defined() || time == 0) return counted;
  const Tensor newest = std::get<0>(
      torch::where(starts.to(torch::kBool), step, torch::full_like(step, -1)).cummax(1));
  return torch::where(newest >= 0, step - newest, counted);
}

Tensor rotary_of_operations(const RotarySettings& settings, const Tensor& x,
                            const Tensor& positions) {
  const int64_t dims = settings.dims, pairs = dims / 2;
  const auto real = x.options().dtype(torch::kFloat64).requires_grad(false);
  const Tensor rate = torch::pow(settings.base, torch::arange(pairs, real) * (-2.0 / dims));
  const Tensor angle = (positions.to(torch::kFloat64).unsqueeze(2) * rate).unsqueeze(2);
  const Tensor cosine = angle.cos().to(x.scalar_type()), sine = angle.sin().to(x.scalar_type());
  const Tensor turned = x.slice(3, 0, dims);
  const bool halves = settings.pairs == RotaryPairs::kHalves;
  const Tensor a = halves ? turned.slice(3, 0, pairs) : turned.slice(3, 0, dims, 2);
  const Tensor b = halves ? turned.slice(3, pairs) : turned.slice(3, 1, dims, 2);
  const std::vector<Tensor> parts = {a * cosine - b * sine, a * sine + b * cosine};
  const Tensor both = halves ? torch::cat(parts, 3) : torch::stack(parts, 4).flatten(3, 4);
  return torch::cat({both, x.slice(3, dims)}, 3);
}

}  // namespace longwave::ops
