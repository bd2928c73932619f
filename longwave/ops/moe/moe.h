// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/view.h"

namespace longwave::ops {

/// What the weights of a token's chosen experts add up to.
enum class RouterWeights : uint8_t {
  kOfAll,     ///< softmax over all experts, then the choice: less than 1 in all
  kOfChosen,  ///< softmax over the chosen ones: 1; the same as kOfAll made to sum to 1
};

/// Chooses the experts of each token: a mixture's router.
///
///   p[t] = softmax(logits[t])       chosen[t] = the k experts of the largest logits, best first
///   weights[t, j] = p[t, chosen[t, j]],   divided by their sum for kOfChosen
///   counts[e] = how often e was chosen
///   balance = experts sum_e f[e] P[e],    f = counts / (tokens k),   P = mean of p over tokens
///
/// Equal logits go to the lower index. `balance` is 1 when all experts are used alike. Logits that
/// are not numbers are chosen last.
///
/// Source     Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2021, arXiv:2101.03961, equations
///            4 to 6 (balance); Jiang et al. 2024, arXiv:2401.04088 (kOfChosen).
/// Numerics   float: float32 softmax with its maximum taken out; means in double.
/// Cost       an exponential for each token and expert; no allocation.
/// Errors     InvalidArgument if shapes disagree or k is not within 1 and experts.
/// Threads    safe for distinct outputs; the result does not depend on the number of threads.
template <typename T>
struct RouteArgs {
  RouterWeights kind = RouterWeights::kOfChosen;
  View<const T, 2> logits;  // (tokens, experts)
  View<int64_t, 2> chosen;  // (tokens, k) out
  View<T, 2> weights;       // (tokens, k) out
  View<int64_t, 1> counts;  // (experts) out
  View<T, 2> p;             // (tokens, experts) out: what balance and gradients need; or absent
  T* balance = nullptr;     // out: the loss; or null. Needs p.
};
template <typename T>
void route(const RouteArgs<T>& args);

/// Gradients of route through weights and balance; the choice, and with it f, is held fixed.
///
///   dp[t, e] = dbalance experts f[e] / tokens  + dweights of e where kOfAll chose it
///   dlogits = p (dp - sum_e p dp)  +  weights (dweights - sum_j weights dweights) for kOfChosen
///
/// Errors     InvalidArgument if shapes disagree.
/// Threads    safe for distinct outputs.
template <typename T>
struct RouteGradArgs {
  RouterWeights kind = RouterWeights::kOfChosen;
  View<const T, 2> p;             // (tokens, experts)
  View<const int64_t, 2> chosen;  // (tokens, k)
  View<const T, 2> weights;       // (tokens, k)
  View<const int64_t, 1> counts;  // (experts)
  View<const T, 2> dweights;      // (tokens, k), or absent for zero
  T dbalance = T(0);
  View<T, 2> dlogits;  // (tokens, experts) out
};
template <typename T>
void route_backward(const RouteGradArgs<T>& args);

/// Sorts the choices by expert, so that each expert's tokens are adjacent rows.
///
///   order[row] = token k + j        place[token, j] = row
///
/// Expert e has rows first[e] to first[e + 1]; within an expert, tokens keep their order.
///
/// Cost       a pass over the choices on one thread; no allocation.
/// Errors     InvalidArgument if shapes disagree or counts do not add up to the choices.
struct DispatchArgs {
  View<const int64_t, 2> chosen;  // (tokens, k)
  View<const int64_t, 1> counts;  // (experts) from route
  View<int64_t, 1> order;         // (tokens k) out
  View<int64_t, 2> place;         // (tokens, k) out
  View<int64_t, 1> first;         // (experts + 1) out
};
void dispatch(const DispatchArgs& args);

/// Copies each row's token: rows[r] = x[order[r] / k], with k = rows / tokens.
///
/// Its gradient is `combine` without weights.
///
/// Errors     InvalidArgument if shapes disagree.
/// Threads    safe for distinct outputs.
template <typename T>
struct GatherArgs {
  View<const T, 2> x;            // (tokens, channels)
  View<const int64_t, 1> order;  // (tokens k)
  View<T, 2> rows;               // (tokens k, channels) out
};
template <typename T>
void gather(const GatherArgs<T>& args);

/// Adds the rows of each token: y[t] = sum_j weights[t, j] rows[place[t, j]], j upwards.
///
/// Errors     InvalidArgument if shapes disagree.
/// Threads    safe for distinct outputs; the result does not depend on the number of threads.
template <typename T>
struct CombineArgs {
  View<const T, 2> rows;         // (tokens k, channels)
  View<const T, 2> weights;      // (tokens, k), or absent for 1
  View<const int64_t, 2> place;  // (tokens, k)
  View<T, 2> y;                  // (tokens, channels) out
};
template <typename T>
void combine(const CombineArgs<T>& args);

/// Gradients of combine: drows[place[t, j]] = weights[t, j] dy[t], dweights[t, j] = dy[t] . rows.
template <typename T>
struct CombineGradArgs {
  View<const T, 2> rows;         // (tokens k, channels)
  View<const T, 2> weights;      // (tokens, k)
  View<const int64_t, 2> place;  // (tokens, k)
  View<const T, 2> dy;           // (tokens, channels)
  View<T, 2> drows;              // (tokens k, channels) out
  View<T, 2> dweights;           // (tokens, k) out
};
template <typename T>
void combine_backward(const CombineGradArgs<T>& args);

}  // namespace longwave::ops
