// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/moe/moe_operations_torch.h"

#include <limits>

namespace longwave::ops {
namespace {

using torch::Tensor;

/// The indices of the largest logits, best first: the lower one of equals, no number last.
Tensor choice(const Tensor& logits, int64_t k) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Tensor known = logits.detach().nan_to_num(-kInfinity, kInfinity, -kInfinity);
  const Tensor order = std::get<1>(known.sort(/*stable=*/true, /*dim=*/1, /*descending=*/true));
  return order.slice(1, 0, k).contiguous();
}

/// The inverse of a permutation.
Tensor inverse_of(const Tensor& order) {
  const Tensor rows = torch::arange(order.size(0), order.options());
  return torch::empty_like(order).scatter_(0, order, rows);
}

/// (tokens, k, channels): the rows of each token.
Tensor rows_of_tokens(const Tensor& rows, const Tensor& place) {
  return rows.index_select(0, place.reshape({-1}))
      .view({place.size(0), place.size(1), rows.size(1)});
}

}  // namespace

Routing route_of_operations(const RouterSettings& settings, const Tensor& logits) {
  const int64_t tokens = logits.size(0), experts = logits.size(1), k = settings.k;
  Routing routing;
  routing.chosen = choice(logits, k);
  const Tensor p = logits.softmax(1);
  routing.weights = settings.kind == RouterWeights::kOfAll
                        ? p.gather(1, routing.chosen)
                        : logits.gather(1, routing.chosen).softmax(1);
  const Tensor flat = routing.chosen.reshape({-1});
  const Tensor all = torch::arange(experts, routing.chosen.options());
  routing.counts = (flat.unsqueeze(1) == all).sum(0);
  // Of no tokens the mean is no number; their balance is 0.
  const Tensor share = routing.counts.to(p.scalar_type()) / static_cast<double>(tokens * k);
  routing.balance =
      tokens == 0 ? logits.sum() : static_cast<double>(experts) * torch::dot(share, p.mean(0));
  routing.order = std::get<1>(flat.sort(/*stable=*/true, /*dim=*/0, /*descending=*/false));
  routing.place = inverse_of(routing.order).view({tokens, k});
  const Tensor ends = routing.counts.cumsum(0).cpu();
  routing.first = torch::cat({torch::zeros({1}, torch::kInt64), ends});
  return routing;
}

Tensor gather_of_operations(const Tensor& x, const Tensor& order) {
  const torch::NoGradGuard no_grad;
  if (order.size(0) == 0) return x.new_empty({0, x.size(1)});
  return x.index_select(0, order.div(order.size(0) / x.size(0), "floor"));
}

Tensor combine_of_operations(const Tensor& rows, const Tensor& weights, const Tensor& place) {
  const torch::NoGradGuard no_grad;
  const Tensor own = rows_of_tokens(rows, place);
  return (weights.defined() ? own * weights.unsqueeze(2) : own).sum(1);
}

CombineGradients combine_gradients_of_operations(const Tensor& rows, const Tensor& weights,
                                                 const Tensor& place, const Tensor& dy) {
  const torch::NoGradGuard no_grad;
  const Tensor order = inverse_of(place.reshape({-1}));
  const Tensor of_rows = weights.reshape({-1, 1}).index_select(0, order);
  return {of_rows * gather_of_operations(dy, order),
          (rows_of_tokens(rows, place) * dy.unsqueeze(1)).sum(2)};
}

}  // namespace longwave::ops
