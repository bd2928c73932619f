// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/ops/ssd/ssd.h"

namespace longwave::ops {

/// log(1 + e^x) without overflow and without loss of small values.
template <typename T>
T ssd_softplus(T x) {
  return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
}

/// The step size of head i at step t, before the limits.
template <typename T, typename Args>
T ssd_raw_step(const Args& args, int64_t b, int64_t t, int64_t i) {
  return args.dt(b, t, i) + (args.dt_bias.absent() ? T(0) : args.dt_bias(i));
}

/// The step size of head i at step t.
template <typename T, typename Args>
T ssd_step_size(const Args& args, int64_t b, int64_t t, int64_t i) {
  return std::min(std::max(ssd_softplus(ssd_raw_step<T>(args, b, t, i)), args.limits.least),
                  args.limits.most);
}

/// The skip of one channel.
template <typename T>
T& ssd_skip(const View<T, 2>& D, int64_t i, int64_t p) {
  return D(i, D.extent(1) == 1 ? 0 : p);
}

/// What is left of h[t-1] at step t: nothing if a sequence starts there.
template <typename T, typename Args>
T ssd_decay(const Args& args, T d, int64_t b, int64_t t, int64_t i) {
  if (!args.starts.absent() && args.starts(b, t) != 0) return T(0);
  return std::exp(d * args.A(i));
}

/// ssd line for line as its contract states it: the oracle, and the path of double.
template <typename T>
void ssd_ref(const SsdArgs<T>& args) {
  const int64_t heads = args.x.extent(2), state = args.B.extent(3);
  const int64_t share = heads / std::max<int64_t>(args.B.extent(2), 1);
  for (int64_t b = 0; b < args.x.extent(0); ++b) {
    for (int64_t t = 0; t < args.x.extent(1); ++t) {
      for (int64_t i = 0; i < heads; ++i) {
        const T d = ssd_step_size<T>(args, b, t, i);
        const T decay = ssd_decay<T>(args, d, b, t, i);
        for (int64_t p = 0; p < args.x.extent(3); ++p) {
          const T x = args.x(b, t, i, p);
          T y = args.D.absent() ? T(0) : ssd_skip(args.D, i, p) * x;
          for (int64_t n = 0; n < state; ++n) {
            T& h = args.h(b, i, p, n);
            // A start forgets even what is not a number.
            h = (decay == T(0) ? T(0) : decay * h) + d * x * args.B(b, t, i / share, n);
            y += h * args.C(b, t, i / share, n);
          }
          args.y(b, t, i, p) = y;
        }
      }
    }
  }
}

/// The gradient by the adjoint recurrence on stored states, for channel p of one head. `d` and
/// `decay` are those of each step; ddt collects the gradient of d.
template <typename T>
void ssd_backward_channel_ref(const SsdGradArgs<T>& args, const std::vector<T>& d,
                              const std::vector<T>& decay, int64_t b, int64_t i, int64_t p) {
  const int64_t time = args.x.extent(1), state = args.B.extent(3);
  const int64_t group = i / (args.x.extent(2) / args.B.extent(2));
  // states[t state + n] = h[t-1]
  std::vector<T> states((time + 1) * state), g(state);
  for (int64_t n = 0; n < state; ++n) {
    states[n] = args.h0.absent() ? T(0) : args.h0(b, i, p, n);
    g[n] = args.dh.absent() ? T(0) : args.dh(b, i, p, n);
  }
  for (int64_t t = 0; t < time; ++t) {
    for (int64_t n = 0; n < state; ++n) {
      const T input = d[t] * args.x(b, t, i, p) * args.B(b, t, group, n);
      states[(t + 1) * state + n] =
          (decay[t] == T(0) ? T(0) : decay[t] * states[t * state + n]) + input;
    }
  }
  for (int64_t t = time - 1; t >= 0; --t) {
    const T dy = args.dy(b, t, i, p), x = args.x(b, t, i, p);
    T input = 0, memory = 0;
    for (int64_t n = 0; n < state; ++n) {
      args.dC(b, t, group, n) += dy * states[(t + 1) * state + n];
      g[n] += dy * args.C(b, t, group, n);
      args.dB(b, t, group, n) += d[t] * x * g[n];
      input += g[n] * args.B(b, t, group, n);
      memory += decay[t] == T(0) ? T(0) : decay[t] * g[n] * states[t * state + n];
      g[n] *= decay[t];
    }
    args.dx(b, t, i, p) = d[t] * input + (args.D.absent() ? T(0) : ssd_skip(args.D, i, p) * dy);
    if (!args.dD.absent()) ssd_skip(args.dD, i, p) += dy * x;
    args.ddt(b, t, i) += x * input + args.A(i) * memory;
    args.dA(i) += d[t] * memory;
  }
  for (int64_t n = 0; n < state; ++n) args.dh0(b, i, p, n) = g[n];
}

/// Sets every element of a view, if it is not absent, to zero.
template <typename T, int Rank>
void ssd_clear(const View<T, Rank>& view) {
  if (view.absent()) return;
  if constexpr (Rank == 1) {
    for (int64_t i = 0; i < view.extent(0); ++i) view(i) = T(0);
  } else {
    for (int64_t i = 0; i < view.extent(0); ++i) ssd_clear(view[i]);
  }
}

/// ssd_backward by stored states and their adjoints. Allocates the states of one channel.
template <typename T>
void ssd_backward_ref(const SsdGradArgs<T>& args) {
  const int64_t time = args.x.extent(1);
  ssd_clear(args.ddt);
  ssd_clear(args.dA);
  ssd_clear(args.dB);
  ssd_clear(args.dC);
  ssd_clear(args.dD);
  ssd_clear(args.ddt_bias);
  std::vector<T> d(time), decay(time);
  for (int64_t b = 0; b < args.x.extent(0); ++b) {
    for (int64_t i = 0; i < args.x.extent(2); ++i) {
      for (int64_t t = 0; t < time; ++t) {
        d[t] = ssd_step_size<T>(args, b, t, i);
        decay[t] = ssd_decay<T>(args, d[t], b, t, i);
      }
      for (int64_t p = 0; p < args.x.extent(3); ++p) {
        ssd_backward_channel_ref(args, d, decay, b, i, p);
      }
      for (int64_t t = 0; t < time; ++t) {
        const T raw = ssd_raw_step<T>(args, b, t, i), size = ssd_softplus(raw);
        const bool free = size >= args.limits.least && size <= args.limits.most;
        T& ddt = args.ddt(b, t, i);
        ddt = free ? ddt / (T(1) + std::exp(-raw)) : T(0);
        if (!args.ddt_bias.absent()) args.ddt_bias(i) += ddt;
      }
    }
  }
}

}  // namespace longwave::ops
