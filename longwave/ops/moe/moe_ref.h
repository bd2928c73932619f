// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>

#include "longwave/ops/moe/moe.h"

namespace longwave::ops {

/// The k experts of the largest logits, best first; the lower index where they are equal.
template <typename T>
void choose(const View<const T, 1>& logits, const View<int64_t, 1>& chosen) {
  for (int64_t j = 0; j < chosen.extent(0); ++j) {
    int64_t best = -1;
    for (int64_t e = 0; e < logits.extent(0); ++e) {
      bool taken = false;
      for (int64_t i = 0; i < j; ++i) taken = taken || chosen(i) == e;
      if (taken) continue;
      // A logit that is not a number compares false, so it must not keep its place as the best.
      const bool rescue = best >= 0 && std::isnan(logits(best)) && !std::isnan(logits(e));
      if (best < 0 || rescue || logits(e) > logits(best)) best = e;
    }
    chosen(j) = best;
  }
}

/// p = softmax(logits); may run in place.
template <typename T>
void softmax_ref(const View<const T, 1>& logits, const View<T, 1>& p) {
  T most = logits(0), sum = 0;
  for (int64_t e = 1; e < logits.extent(0); ++e) most = std::max(most, logits(e));
  for (int64_t e = 0; e < logits.extent(0); ++e) sum += p(e) = std::exp(logits(e) - most);
  for (int64_t e = 0; e < logits.extent(0); ++e) p(e) /= sum;
}

/// Choice, weights and softmax of one token. `p` is absent if nobody asked for it.
template <typename T>
void route_token(const RouteArgs<T>& args, int64_t t) {
  const View<const T, 1> logits = args.logits[t];
  const View<int64_t, 1> chosen = args.chosen[t];
  const View<T, 1> weights = args.weights[t];
  choose(logits, chosen);
  if (!args.p.absent()) softmax_ref(logits, args.p[t]);
  // Relative to the largest logit, which is the first chosen.
  T all = 0, ours = 0;
  for (int64_t j = 0; j < chosen.extent(0); ++j) {
    ours += weights(j) = std::exp(logits(chosen(j)) - logits(chosen(0)));
  }
  for (int64_t e = 0; e < logits.extent(0) && args.kind == RouterWeights::kOfAll; ++e) {
    all += std::exp(logits(e) - logits(chosen(0)));
  }
  const T sum = args.kind == RouterWeights::kOfAll ? all : ours;
  for (int64_t j = 0; j < chosen.extent(0); ++j) weights(j) /= sum;
}

/// Counts of the choices, and the loss from them.
template <typename T>
void count_choices(const RouteArgs<T>& args) {
  const int64_t tokens = args.chosen.extent(0), k = args.chosen.extent(1);
  const int64_t experts = args.counts.extent(0);
  for (int64_t e = 0; e < experts; ++e) args.counts(e) = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t j = 0; j < k; ++j) ++args.counts(args.chosen(t, j));
  }
  if (args.balance == nullptr) return;
  double loss = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t e = 0; e < experts; ++e) {
      loss += static_cast<double>(args.counts(e)) * static_cast<double>(args.p(t, e));
    }
  }
  const double slots = static_cast<double>(tokens * k) * static_cast<double>(tokens);
  *args.balance = tokens == 0 ? T(0) : static_cast<T>(static_cast<double>(experts) * loss / slots);
}

/// route line for line as its contract states it.
template <typename T>
void route_ref(const RouteArgs<T>& args) {
  for (int64_t t = 0; t < args.logits.extent(0); ++t) route_token(args, t);
  count_choices(args);
}

/// Gradient of one token's logits.
template <typename T>
void route_backward_token(const RouteGradArgs<T>& args, int64_t t) {
  const int64_t tokens = args.p.extent(0), experts = args.p.extent(1), k = args.chosen.extent(1);
  const View<T, 1> d = args.dlogits[t];
  const T share = args.dbalance * T(experts) / (T(tokens) * T(tokens) * T(k));
  for (int64_t e = 0; e < experts; ++e) d(e) = share * T(args.counts(e));
  if (!args.dweights.absent() && args.kind == RouterWeights::kOfAll) {
    for (int64_t j = 0; j < k; ++j) d(args.chosen(t, j)) += args.dweights(t, j);
  }
  T mean = 0;
  for (int64_t e = 0; e < experts; ++e) mean += args.p(t, e) * d(e);
  for (int64_t e = 0; e < experts; ++e) d(e) = args.p(t, e) * (d(e) - mean);
  if (args.dweights.absent() || args.kind == RouterWeights::kOfAll) return;
  T own = 0;
  for (int64_t j = 0; j < k; ++j) own += args.weights(t, j) * args.dweights(t, j);
  for (int64_t j = 0; j < k; ++j) {
    d(args.chosen(t, j)) += args.weights(t, j) * (args.dweights(t, j) - own);
  }
}

/// route_backward line for line.
template <typename T>
void route_backward_ref(const RouteGradArgs<T>& args) {
  for (int64_t t = 0; t < args.p.extent(0); ++t) route_backward_token(args, t);
}

/// combine line for line.
template <typename T>
void combine_ref(const CombineArgs<T>& args) {
  for (int64_t t = 0; t < args.y.extent(0); ++t) {
    for (int64_t c = 0; c < args.y.extent(1); ++c) {
      T sum = 0;
      for (int64_t j = 0; j < args.place.extent(1); ++j) {
        const T weight = args.weights.absent() ? T(1) : args.weights(t, j);
        sum += weight * args.rows(args.place(t, j), c);
      }
      args.y(t, c) = sum;
    }
  }
}

/// combine_backward line for line.
template <typename T>
void combine_backward_ref(const CombineGradArgs<T>& args) {
  for (int64_t t = 0; t < args.dy.extent(0); ++t) {
    for (int64_t j = 0; j < args.place.extent(1); ++j) {
      const int64_t row = args.place(t, j);
      T dot = 0;
      for (int64_t c = 0; c < args.dy.extent(1); ++c) {
        dot += args.dy(t, c) * args.rows(row, c);
        args.drows(row, c) = args.weights(t, j) * args.dy(t, c);
      }
      args.dweights(t, j) = dot;
    }
  }
}

}  // namespace longwave::ops
