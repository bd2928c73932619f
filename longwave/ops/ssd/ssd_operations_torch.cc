// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/ssd/ssd_operations_torch.h"

#include <limits>

#include "longwave/ops/autocast_torch.h"
#include "longwave/ops/ssd/ssd.h"

namespace longwave::ops {
namespace {

using torch::Tensor;

/// (batch, time, ...) as (batch, chunks, kSsdChunk, ...), with zeros behind the end.
Tensor in_chunks(const Tensor& x, int64_t padding) {
  std::vector<int64_t> zeros(2 * (x.dim() - 1), 0);
  zeros[zeros.size() - 1] = padding;
  const Tensor padded = padding == 0 ? x : torch::constant_pad_nd(x, zeros);
  return padded.unflatten(1, {padded.size(1) / kSsdChunk, kSsdChunk});
}

/// e^x where `there`, else 0; neither value nor gradient sees x elsewhere.
Tensor exp_where(const Tensor& there, const Tensor& x) {
  return torch::exp(x.masked_fill(there.logical_not(), -std::numeric_limits<double>::infinity()));
}

/// What the operands of a scan come to in chunks.
struct Chunks {
  int64_t groups, share;  // heads of a group
  Tensor x, B, C;         // (batch, chunks, step, heads or groups, ...)
  Tensor d;               // (batch, chunks, step, heads) step sizes
  Tensor sums;            // (batch, chunks, step, heads) of d A, from the chunk's first step on
  Tensor sequence;        // (batch, chunks, step) how many sequences have started so far

  explicit Chunks(const SsdInput& in);

  /// x times a number a step and head, by group: (batch, chunks, step, groups, share, head_dim).
  Tensor weighted(const Tensor& weights) const {
    return (x * weights.unsqueeze(4)).unflatten(3, {groups, share});
  }
  Tensor last(const Tensor& of) const { return of.select(2, kSsdChunk - 1); }

  Tensor within() const;
  Tensor added() const;
  Tensor states(const Tensor& h0) const;
  Tensor from(const Tensor& before) const;
};

Chunks::Chunks(const SsdInput& in)
    : groups(in.B.size(2)), share(groups == 0 ? 0 : in.x.size(2) / groups) {
  const int64_t time = in.x.size(1), padding = (kSsdChunk - time % kSsdChunk) % kSsdChunk;
  const Tensor raw = in.dt_bias.defined() ? in.dt + in.dt_bias : in.dt;
  x = in_chunks(in.x, padding);
  B = in_chunks(in.B, padding);
  C = in_chunks(in.C, padding);
  d = in_chunks(torch::softplus(raw).clamp(in.dt_min, in.dt_max), padding);
  sums = (d * in.A).cumsum(2);
  const Tensor starts =
      in.starts.defined() ? in.starts.to(torch::kInt64)
                          : torch::zeros({in.x.size(0), time}, in.x.options().dtype(torch::kInt64));
  // Padding belongs to the last sequence.
  const Tensor padded = padding == 0 ? starts : torch::constant_pad_nd(starts, {0, padding});
  sequence = padded.cumsum(1).unflatten(1, {padded.size(1) / kSsdChunk, kSsdChunk});
}

/// The part of y that comes from inputs of the same chunk.
Tensor Chunks::within() const {
  const Tensor same = sequence.unsqueeze(3) == sequence.unsqueeze(2);  // (batch, chunks, to, from)
  const Tensor causal = torch::ones({kSsdChunk, kSsdChunk}, same.options()).tril();
  const Tensor by_head = sums.transpose(2, 3);  // (batch, chunks, heads, step)
  const Tensor decay =
      exp_where((same & causal).unsqueeze(2), by_head.unsqueeze(4) - by_head.unsqueeze(3));
  const Tensor products = torch::einsum("bcign,bcjgn->bcgij", {C, B});
  const Tensor weights = decay.unflatten(2, {groups, share}) * products.unsqueeze(3);
  return torch::einsum("bcgrij,bcjgrp->bcigrp", {weights, weighted(d)});
}

/// What each chunk adds to the state: (batch, chunks, groups, share, head_dim, state).
Tensor Chunks::added() const {
  const Tensor reaches = (sequence == last(sequence).unsqueeze(2)).unsqueeze(3);
  const Tensor decay = exp_where(reaches, last(sums).unsqueeze(2) - sums);
  return torch::einsum("bcjgrp,bcjgn->bcgrpn", {weighted(d * decay), B});
}

/// The state before each chunk and behind the last one, so one more than there are chunks.
Tensor Chunks::states(const Tensor& h0) const {
  const int64_t count = sums.size(1), batch = sums.size(0);
  const Tensor totals = last(sums).to(torch::kFloat64).cumsum(1);  // (batch, chunks, heads)
  const Tensor zero = torch::zeros({batch, 1, totals.size(2)}, totals.options());
  const Tensor until = torch::cat({zero, totals}, 1);  // before chunk i; then behind the last
  const Tensor ends = last(sequence);                  // (batch, chunks)
  const Tensor seen = torch::cat({torch::zeros({batch, 1}, ends.options()), ends}, 1);
  // Place 0 is h0, place i + 1 what chunk i adds; both count from the step behind them.
  const Tensor reaches =
      (seen.unsqueeze(2) == seen.unsqueeze(1)) &
      torch::ones({count + 1, count + 1}, seen.options().dtype(torch::kBool)).tril();
  const Tensor by_head = until.transpose(1, 2);
  const Tensor decay = exp_where(reaches.unsqueeze(1), by_head.unsqueeze(3) - by_head.unsqueeze(2))
                           .to(x.scalar_type());
  const Tensor parts = torch::cat({h0.unflatten(1, {groups, share}).unsqueeze(1), added()}, 1);
  return torch::einsum("bgrij,bjgrpn->bigrpn", {decay.unflatten(1, {groups, share}), parts});
}

/// The part of y that comes from the states before the chunks.
Tensor Chunks::from(const Tensor& before) const {
  const Tensor ends = last(sequence);
  const Tensor zero = torch::zeros({ends.size(0), 1}, ends.options());
  const Tensor first = torch::cat({zero, ends.slice(1, 0, ends.size(1) - 1)}, 1);
  const Tensor decay = exp_where((sequence == first.unsqueeze(2)).unsqueeze(3), sums);
  const Tensor read = torch::einsum("bcign,bcgrpn->bcigrp", {C, before});
  return read * decay.unflatten(3, {groups, share}).unsqueeze(5);
}

}  // namespace

SsdOutput ssd_of_operations(const SsdInput& input) {
  const WithoutAutocast as_given;
  const int64_t time = input.x.size(1), heads = input.x.size(2), state = input.B.size(3);
  const Tensor h0 = input.h0.defined()
                        ? input.h0
                        : torch::zeros({input.x.size(0), heads, input.x.size(3), state},
                                       input.x.options().requires_grad(false));
  if (time == 0) return {torch::zeros_like(input.x), h0.clone()};
  const Chunks chunks(input);
  const int64_t count = chunks.sums.size(1);
  const Tensor states = chunks.states(h0);
  Tensor y = chunks.within() + chunks.from(states.slice(1, 0, count));
  y = y.flatten(3, 4).flatten(1, 2).slice(1, 0, time);
  if (input.D.defined()) y = y + (input.D.dim() == 1 ? input.D.unsqueeze(1) : input.D) * input.x;
  return {y.contiguous(), states.select(1, count).flatten(1, 2).contiguous()};
}

}  // namespace longwave::ops
