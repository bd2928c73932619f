// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/attention/attention_torch.h"

#include <cmath>
#include <utility>
#include <vector>

#include "longwave/mixers/attention/attention.h"
#include "longwave/nn/linear_torch.h"
#include "longwave/ops/attention/attention_operations_torch.h"
#include "longwave/ops/attention/attention_torch.h"
#include "longwave/ops/operand_torch.h"

namespace longwave::mixers::attention {
namespace {

/// The positions that a state row says came before, (batch) int64.
torch::Tensor positions_of(const torch::Tensor& state) {
  const torch::Tensor pairs =
      state.detach().slice(1, -Shapes::kPositionSize).to(torch::kCPU, torch::kFloat32).contiguous();
  const torch::Tensor positions = torch::empty({state.size(0)}, torch::kInt64);
  for (int64_t b = 0; b < state.size(0); ++b) {
    positions.data_ptr<int64_t>()[b] =
        position_of(pairs.data_ptr<float>() + b * Shapes::kPositionSize);
  }
  return positions.to(state.device());
}

/// (batch, 2): the other way round.
torch::Tensor position_pairs(const torch::Tensor& positions, const torch::Tensor& like) {
  const torch::Tensor pairs =
      torch::empty({positions.size(0), Shapes::kPositionSize}, torch::kFloat32);
  for (int64_t b = 0; b < positions.size(0); ++b) {
    store_position(positions[b].item<int64_t>(),
                   pairs.data_ptr<float>() + b * Shapes::kPositionSize);
  }
  return pairs.to(like.options());
}

class AttentionTorch : public TorchMixer {
 public:
  AttentionTorch(const Shapes& shapes, TorchParameters parameters)
      : shapes_(shapes), parameters_(std::move(parameters)) {}

  bool packs() const override { return true; }
  bool narrows() const override { return true; }
  Projection input_projection() const override {
    return {parameters_("in_proj.weight"), optional("in_proj.bias")};
  }

 private:
  Output run(const Call& call) const override;
  torch::Tensor turned(const torch::Tensor& x, const torch::Tensor& seen,
                       const torch::Tensor& starts) const;
  torch::Tensor ring_after(const Call& call, const ops::RingUpdate& update) const;

  torch::Tensor optional(const char* name) const {
    return shapes_.bias ? parameters_(name) : torch::Tensor();
  }

  Shapes shapes_;
  TorchParameters parameters_;
};

/// Heads turned by the positions of their steps, which count from each start.
torch::Tensor AttentionTorch::turned(const torch::Tensor& x, const torch::Tensor& seen,
                                     const torch::Tensor& starts) const {
  if (shapes_.rotary_dims == 0) return x;
  const ops::RotarySettings settings = {.base = shapes_.rotary_base, .dims = shapes_.rotary_dims};
  if (!starts.defined()) return ops::rotary(settings, x, seen);
  if (x.is_cuda()) {
    return ops::rotary_of_operations(settings, x, ops::positions_of_steps(seen, starts, x));
  }
  std::vector<torch::Tensor> rows;
  const auto marks = starts.to(torch::kBool).contiguous();
  for (int64_t b = 0; b < x.size(0); ++b) {
    const bool* mark = marks.data_ptr<bool>() + b * x.size(1);
    std::vector<torch::Tensor> parts;
    for (int64_t begin = 0, end = 0; begin < x.size(1); begin = end) {
      do ++end;
      while (end < x.size(1) && !mark[end]);
      const torch::Tensor first =
          seen.defined() && !mark[begin] ? seen.slice(0, b, b + 1) : torch::Tensor();
      parts.push_back(ops::rotary(settings, x.slice(0, b, b + 1).slice(1, begin, end), first));
    }
    rows.push_back(torch::cat(parts, 1));
  }
  return torch::cat(rows, 0);
}

/// The ring after the call, with what earlier sequences left taken out, as rows of a state.
torch::Tensor AttentionTorch::ring_after(const Call& call, const ops::RingUpdate& update) const {
  torch::Tensor ring = ops::rolled_ring(update);
  if (call.starts.defined()) {
    const torch::Tensor slots = torch::arange(shapes_.window, update.seen.options()).unsqueeze(0);
    const torch::Tensor started = (call.starts != 0).any(1, true);
    const torch::Tensor stale = started & (slots >= update.seen.unsqueeze(1));
    ring = ring * stale.logical_not().view({ring.size(0), shapes_.window, 1, 1});
  }
  return ring.reshape({ring.size(0), shapes_.ring_size()});
}

TorchMixer::Output AttentionTorch::run(const Call& call) const {
  const torch::Tensor& given = call.projected;
  const int64_t batch = given.size(0), time = given.size(1), head_dim = shapes_.head_dim;
  const int64_t heads = shapes_.heads, kv_heads = shapes_.kv_heads, ring = shapes_.ring_size();
  torch::Tensor state;
  if (call.state.defined()) state = call.state.to(ops::wide_type(given));
  if (time == 0 || batch == 0) {
    if (!state.defined()) state = ops::widened(given).new_zeros({batch, shapes_.state_size()});
    return {given.new_zeros({batch, time, parameters_("out_proj.weight").size(0)}),
            call.final_state ? state : torch::Tensor()};
  }
  torch::Tensor seen;
  if (state.defined()) seen = positions_of(state);
  const torch::Tensor projected =
      ops::widened(given).view({batch, time, heads + 2 * kv_heads, head_dim});
  const auto parts = projected.split_with_sizes({heads + kv_heads, kv_heads}, 2);
  const auto both = turned(parts[0], seen, call.starts).split_with_sizes({heads, kv_heads}, 2);
  const torch::Tensor &k = both[1], &v = parts[1];
  const auto ring_at = [&](int64_t begin) {
    const std::vector<int64_t> shape = {batch, shapes_.window, kv_heads, head_dim};
    if (!state.defined()) return k.new_zeros(shape);
    return state.slice(1, begin, begin + ring).view(shape);
  };
  const auto with_past = [&](const torch::Tensor& rows, int64_t begin) {
    if (!state.defined()) return rows;
    return torch::cat({ops::unrolled_ring(ring_at(begin), seen), rows}, 1);
  };
  const torch::Tensor y = ops::attention({.scale = shapes_.scale,
                                          .window = shapes_.window,
                                          .q = both[0],
                                          .k = with_past(k, 0),
                                          .v = with_past(v, ring),
                                          .seen = seen,
                                          .starts = call.starts});
  const torch::Tensor out =
      nn::linear(y.reshape({batch, time, heads * head_dim}).to(given.scalar_type()),
                 parameters_("out_proj.weight"), optional("out_proj.bias"));
  if (!call.final_state) return {out, torch::Tensor()};
  const torch::Tensor before =
      seen.defined() ? seen : torch::zeros({batch}, given.options().dtype(torch::kInt64));
  const torch::Tensor after = ops::seen_after(before, time, call.starts);
  const auto update = [&](const torch::Tensor& rows, int64_t begin) {
    return ring_after(call, {.ring = ring_at(begin), .rows = rows, .seen = after});
  };
  return {out, torch::cat({update(k, 0), update(v, ring), position_pairs(after, k)}, 1)};
}

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<AttentionTorch>(Shapes(options, channels), std::move(parameters));
}

}  // namespace longwave::mixers::attention
