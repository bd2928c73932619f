// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/moe/moe.h"

#include <fmt/core.h>

#include <algorithm>
#include <concepts>

#include "longwave/base/error.h"
#include "longwave/ops/moe/moe_cpu.h"
#include "longwave/ops/moe/moe_ref.h"
#include "longwave/ops/require_shape.h"
#include "longwave/ops/rows.h"

namespace longwave::ops {
namespace {

// An exponential is worth about this many multiply-adds to over_rows.
constexpr int64_t kExpWork = 8;

template <typename T>
void check(const RouteArgs<T>& args) {
  const char* where = "route";
  const int64_t tokens = args.logits.extent(0), experts = args.logits.extent(1);
  const int64_t k = args.chosen.extent(1);
  if (k < 1 || k > experts) {
    throw InvalidArgument({.where = where,
                           .what = "a token cannot choose so many experts",
                           .got = fmt::format("{} of {}", k, experts),
                           .fix = fmt::format("choose 1 to {}", experts)});
  }
  require_shape(where, "chosen", args.chosen, {tokens, k});
  require_shape(where, "weights", args.weights, {tokens, k});
  require_shape(where, "counts", args.counts, {experts});
  if (!args.p.absent()) require_shape(where, "p", args.p, args.logits.extents());
  require(args.balance == nullptr || !args.p.absent() || tokens == 0, where, "balance needs p");
}

template <typename T>
void check(const RouteGradArgs<T>& args) {
  const char* where = "route_backward";
  require_shape(where, "chosen", args.chosen, {args.p.extent(0), args.chosen.extent(1)});
  require_shape(where, "weights", args.weights, args.chosen.extents());
  require_shape(where, "counts", args.counts, {args.p.extent(1)});
  require_shape(where, "dlogits", args.dlogits, args.p.extents());
  if (!args.dweights.absent()) {
    require_shape(where, "dweights", args.dweights, args.chosen.extents());
  }
}

}  // namespace

template <typename T>
void route(const RouteArgs<T>& args) {
  check(args);
  over_rows(args.logits.extent(0), args.logits.extent(1) * kExpWork,
            [&](int64_t begin, int64_t end) {
              for (int64_t t = begin; t < end; ++t) route_token(args, t);
            });
  count_choices(args);
}

template <typename T>
void route_backward(const RouteGradArgs<T>& args) {
  check(args);
  over_rows(args.p.extent(0), args.p.extent(1), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) route_backward_token(args, t);
  });
}

void dispatch(const DispatchArgs& args) {
  const char* where = "dispatch";
  const int64_t tokens = args.chosen.extent(0), k = args.chosen.extent(1);
  const int64_t experts = args.counts.extent(0);
  require_shape(where, "order", args.order, {tokens * k});
  require_shape(where, "place", args.place, {tokens, k});
  require_shape(where, "first", args.first, {experts + 1});
  // While the rows are given out, first(e) is the next free row of expert e.
  args.first(0) = 0;
  for (int64_t e = 0; e < experts; ++e) args.first(e + 1) = args.first(e) + args.counts(e);
  require(args.first(experts) == tokens * k, where, "counts must add up to the choices");
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t j = 0; j < k; ++j) {
      const int64_t row = args.first(args.chosen(t, j))++;
      args.order(row) = t * k + j;
      args.place(t, j) = row;
    }
  }
  for (int64_t e = experts; e > 0; --e) args.first(e) = args.first(e - 1);
  args.first(0) = 0;
}

template <typename T>
void gather(const GatherArgs<T>& args) {
  const char* where = "gather";
  const int64_t tokens = args.x.extent(0), channels = args.x.extent(1);
  const int64_t count = args.order.extent(0);
  require_shape(where, "rows", args.rows, {count, channels});
  require(tokens == 0 ? count == 0 : count % tokens == 0, where,
          "order must have as many entries for each token");
  const int64_t k = count / std::max<int64_t>(tokens, 1);
  over_rows(count, channels, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t token = args.order(row) / k;
      for (int64_t c = 0; c < channels; ++c) args.rows(row, c) = args.x(token, c);
    }
  });
}

template <typename T>
void combine(const CombineArgs<T>& args) {
  const char* where = "combine";
  const int64_t tokens = args.y.extent(0), k = args.place.extent(1);
  require_shape(where, "place", args.place, {tokens, k});
  require_shape(where, "rows", args.rows, {tokens * k, args.y.extent(1)});
  if (!args.weights.absent()) require_shape(where, "weights", args.weights, {tokens, k});
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.rows, args.y)) return combine_cpu(args);
  }
  combine_ref(args);
}

template <typename T>
void combine_backward(const CombineGradArgs<T>& args) {
  const char* where = "combine_backward";
  const int64_t tokens = args.dy.extent(0), k = args.place.extent(1);
  require_shape(where, "place", args.place, {tokens, k});
  require_shape(where, "rows", args.rows, {tokens * k, args.dy.extent(1)});
  require_shape(where, "drows", args.drows, args.rows.extents());
  require_shape(where, "weights", args.weights, {tokens, k});
  require_shape(where, "dweights", args.dweights, {tokens, k});
  if constexpr (std::same_as<T, float>) {
    if (adjacent(args.rows, args.dy, args.drows)) return combine_backward_cpu(args);
  }
  combine_backward_ref(args);
}

template void route(const RouteArgs<float>&);
template void route(const RouteArgs<double>&);
template void route_backward(const RouteGradArgs<float>&);
template void route_backward(const RouteGradArgs<double>&);
template void gather(const GatherArgs<float>&);
template void gather(const GatherArgs<double>&);
template void combine(const CombineArgs<float>&);
template void combine(const CombineArgs<double>&);
template void combine_backward(const CombineGradArgs<float>&);
template void combine_backward(const CombineGradArgs<double>&);

}  // namespace longwave::ops
