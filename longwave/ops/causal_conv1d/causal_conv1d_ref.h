// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>

#include "longwave/ops/causal_conv1d/causal_conv1d.h"

namespace longwave::ops {

/// The oldest tap that step t may use: those before it reach behind the start of its sequence.
inline int64_t first_tap(const View<const uint8_t, 2>& starts, int64_t sequence, int64_t t,
                         int64_t width) {
  if (starts.absent()) return 0;
  for (int64_t tap = width - 1; tap > 0; --tap) {
    const int64_t at = t - width + 1 + tap;
    if (at < 0) return 0;
    if (starts(sequence, at) != 0) return tap;
  }
  return 0;
}

/// The oldest row of the final history that is not zeroed by a start behind it.
inline int64_t first_kept(const View<const uint8_t, 2>& starts, int64_t sequence, int64_t time,
                          int64_t width) {
  if (time == 0) return 0;
  return std::max<int64_t>(0, first_tap(starts, sequence, time - 1, width) - 1);
}

/// Writes the final history of all sequences; may run in place.
template <typename T>
void write_final_history(const CausalConv1dArgs<T>& args) {
  if (args.final_history.absent()) return;
  const int64_t time = args.x.extent(1), kept = args.w.extent(1) - 1;
  for (int64_t s = 0; s < args.x.extent(0); ++s) {
    const int64_t first = first_kept(args.starts, s, time, kept + 1);
    for (int64_t i = 0; i < kept; ++i) {
      const int64_t at = time - kept + i;
      const bool zero = i < first || (at < 0 && args.history.absent());
      const View<T, 1> to = args.final_history[s][i];
      if (zero) {
        for (int64_t c = 0; c < to.extent(0); ++c) to(c) = T(0);
        continue;
      }
      const View<const T, 1> from = at >= 0 ? args.x[s][at] : args.history[s][at + kept];
      if (from.contiguous() && to.contiguous()) {
        std::copy_n(from.data(), to.extent(0), to.data());
        continue;
      }
      for (int64_t c = 0; c < to.extent(0); ++c) to(c) = from(c);
    }
  }
}

/// The sum before the activation at one place.
template <typename Args>
auto conv_sum(const Args& args, int64_t s, int64_t t, int64_t c) {
  using T = std::remove_cvref_t<decltype(args.x(0, 0, 0) + 0)>;
  const int64_t width = args.w.extent(1);
  T sum = args.b.absent() ? T(0) : args.b(c);
  for (int64_t k = first_tap(args.starts, s, t, width); k < width; ++k) {
    const int64_t at = t - width + 1 + k;
    if (at < 0 && args.history.absent()) continue;
    sum += args.w(c, k) * (at >= 0 ? args.x(s, at, c) : args.history(s, at + width - 1, c));
  }
  return sum;
}

/// causal_conv1d line for line as its contract states it: the oracle, and the path of double.
template <typename T>
void causal_conv1d_ref(const CausalConv1dArgs<T>& args) {
  for (int64_t s = 0; s < args.x.extent(0); ++s) {
    for (int64_t t = 0; t < args.x.extent(1); ++t) {
      for (int64_t c = 0; c < args.x.extent(2); ++c) {
        const T a = conv_sum(args, s, t, c);
        args.y(s, t, c) = args.activation == ConvActivation::kSilu ? a / (1 + std::exp(-a)) : a;
      }
    }
  }
  write_final_history(args);
}

/// Sets the gradients to what flows back through the final history, and to zero elsewhere.
template <typename T>
void start_conv_gradients(const CausalConv1dGradArgs<T>& args) {
  const int64_t time = args.x.extent(1), kept = args.w.extent(1) - 1;
  for (int64_t c = 0; c < args.x.extent(2); ++c) {
    for (int64_t k = 0; k <= kept; ++k) args.dw(c, k) = 0;
    if (!args.db.absent()) args.db(c) = 0;
    for (int64_t s = 0; s < args.x.extent(0); ++s) {
      const int64_t first = first_kept(args.starts, s, time, kept + 1);
      for (int64_t at = -kept; at < time; ++at) {
        const int64_t i = at - time + kept;
        const T through = i < first || args.dfinal.absent() ? T(0) : args.dfinal(s, i, c);
        if (at >= 0) args.dx(s, at, c) = through;
        if (at < 0 && !args.dhistory.absent()) args.dhistory(s, at + kept, c) = through;
      }
    }
  }
}

/// causal_conv1d_backward line for line.
template <typename T>
void causal_conv1d_backward_ref(const CausalConv1dGradArgs<T>& args) {
  start_conv_gradients(args);
  const int64_t width = args.w.extent(1);
  for (int64_t s = 0; s < args.x.extent(0); ++s) {
    for (int64_t t = 0; t < args.x.extent(1); ++t) {
      const int64_t first = first_tap(args.starts, s, t, width);
      for (int64_t c = 0; c < args.x.extent(2); ++c) {
        T da = args.dy(s, t, c);
        if (args.activation == ConvActivation::kSilu) {
          const T a = conv_sum(args, s, t, c), sigmoid = 1 / (1 + std::exp(-a));
          da *= sigmoid * (1 + a * (1 - sigmoid));
        }
        if (!args.db.absent()) args.db(c) += da;
        for (int64_t k = first; k < width; ++k) {
          const int64_t at = t - width + 1 + k;
          if (at >= 0) {
            args.dw(c, k) += da * args.x(s, at, c);
            args.dx(s, at, c) += da * args.w(c, k);
            continue;
          }
          if (!args.history.absent()) args.dw(c, k) += da * args.history(s, at + width - 1, c);
          if (!args.dhistory.absent()) args.dhistory(s, at + width - 1, c) += da * args.w(c, k);
        }
      }
    }
  }
}

}  // namespace longwave::ops
