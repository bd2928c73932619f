// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "longwave/ops/selective_scan/selective_scan.h"

namespace longwave::ops {

/// log(1 + e^x) without overflow and without loss for small values.
template <typename T>
T softplus_ref(T x) {
  return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
}

template <typename T>
T sigmoid_ref(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

/// dt + dt_bias of one step and channel.
template <typename T>
T selective_scan_raw_ref(const SelectiveScanInputs<T>& in, int64_t b, int64_t t, int64_t c) {
  return in.dt(b, t, c) + (in.dt_bias.absent() ? T(0) : in.dt_bias(c));
}

/// The step size of one step and channel.
template <typename T>
T selective_scan_step_size_ref(const SelectiveScanInputs<T>& in, int64_t b, int64_t t, int64_t c) {
  const T raw = selective_scan_raw_ref(in, b, t, c);
  return in.step_size == StepSize::kSoftplus ? softplus_ref(raw) : raw;
}

/// selective_scan line for line as its contract states it: the oracle, and the path of double.
template <typename T>
void selective_scan_ref(const SelectiveScanArgs<T>& args) {
  const SelectiveScanInputs<T>& in = args.in;
  const int64_t batch = in.u.extent(0), time = in.u.extent(1), channels = in.u.extent(2);
  const int64_t groups = in.B.extent(2), state = in.A.extent(1);
  const int64_t chunk = selective_scan_chunk(state);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t g = c * groups / channels;
      for (int64_t t = 0; t < time; ++t) {
        if (!args.states.absent() && t % chunk == 0) {
          for (int64_t n = 0; n < state; ++n) args.states(b, t / chunk, n, c) = args.h(b, c, n);
        }
        const bool start = !in.starts.absent() && in.starts(b, t) != 0;
        const T s = selective_scan_step_size_ref(in, b, t, c), u = in.u(b, t, c);
        T y = in.D.absent() ? T(0) : in.D(c) * u;
        for (int64_t n = 0; n < state; ++n) {
          T& h = args.h(b, c, n);
          h = (start ? T(0) : std::exp(s * in.A(c, n)) * h) + s * u * in.B(b, t, g, n);
          y += in.C(b, t, g, n) * h;
        }
        if (!in.z.absent()) y *= in.z(b, t, c) * sigmoid_ref(in.z(b, t, c));
        args.y(b, t, c) = y;
      }
    }
  }
}

/// The gradients of one channel of one sequence, on top of those of others.
template <typename T>
class SelectiveScanAdjointRef {
 public:
  SelectiveScanAdjointRef(const SelectiveScanGradArgs<T>& args, int64_t b, int64_t c)
      : args_(args),
        in_(args.in),
        b_(b),
        c_(c),
        g_(c * in_.B.extent(2) / in_.u.extent(2)),
        state_(in_.A.extent(1)),
        decays_(in_.u.extent(1) * state_),
        decayed_(decays_.size()),
        adjoint_(state_) {}

  /// exp(s A) and exp(s A) h[t-1] of all steps.
  void forward() {
    for (int64_t n = 0; n < state_; ++n) {
      for (int64_t t = 0; t < in_.u.extent(1); ++t) {
        const T s = selective_scan_step_size_ref(in_, b_, t, c_);
        const bool start = starts_at(t);
        const T before = t == 0 ? args_.states(b_, 0, n, c_) : h(t - 1, n);
        decays_[t * state_ + n] = std::exp(s * in_.A(c_, n));
        decayed_[t * state_ + n] = start ? T(0) : decays_[t * state_ + n] * before;
      }
    }
  }

  /// All gradients, back in time.
  void backward() {
    for (int64_t n = 0; n < state_; ++n) {
      adjoint_[n] = args_.dh.absent() ? T(0) : args_.dh(b_, c_, n);
    }
    for (int64_t t = in_.u.extent(1) - 1; t >= 0; --t) step_back(t);
    for (int64_t n = 0; n < state_; ++n) args_.dh0(b_, c_, n) = adjoint_[n];
  }

 private:
  bool starts_at(int64_t t) const { return !in_.starts.absent() && in_.starts(b_, t) != 0; }

  T h(int64_t t, int64_t n) const {
    const T s = selective_scan_step_size_ref(in_, b_, t, c_);
    return decayed_[t * state_ + n] + s * in_.u(b_, t, c_) * in_.B(b_, t, g_, n);
  }

  // Through the gate: returns dL/d(C.h + D u).
  T gate_back(int64_t t) {
    const T dy = args_.dy(b_, t, c_);
    if (in_.z.absent()) return dy;
    T y = in_.D.absent() ? T(0) : in_.D(c_) * in_.u(b_, t, c_);
    for (int64_t n = 0; n < state_; ++n) y += in_.C(b_, t, g_, n) * h(t, n);
    const T z = in_.z(b_, t, c_), slope = sigmoid_ref(z);
    args_.dz(b_, t, c_) = dy * y * slope * (T(1) + z * (T(1) - slope));
    return dy * z * slope;
  }

  void step_back(int64_t t) {
    const T s = selective_scan_step_size_ref(in_, b_, t, c_), u = in_.u(b_, t, c_);
    const T dyg = gate_back(t);
    T through_B = 0, through_A = 0;
    for (int64_t n = 0; n < state_; ++n) {
      const T g = adjoint_[n] + in_.C(b_, t, g_, n) * dyg;
      const T before = decayed_[t * state_ + n];
      args_.dB(b_, t, g_, n) += g * s * u;
      args_.dC(b_, t, g_, n) += dyg * h(t, n);
      args_.dA(c_, n) += s * g * before;
      through_B += g * in_.B(b_, t, g_, n);
      through_A += in_.A(c_, n) * g * before;
      // What follows a sequence must not matter, even infinity.
      adjoint_[n] = starts_at(t) ? T(0) : decays_[t * state_ + n] * g;
    }
    const T ds = u * through_B + through_A;
    const T slope = in_.step_size == StepSize::kSoftplus
                        ? sigmoid_ref(selective_scan_raw_ref(in_, b_, t, c_))
                        : T(1);
    args_.du(b_, t, c_) = s * through_B + (in_.D.absent() ? T(0) : in_.D(c_) * dyg);
    args_.ddt(b_, t, c_) = ds * slope;
    if (!in_.D.absent()) args_.dD(c_) += dyg * u;
    if (!in_.dt_bias.absent()) args_.ddt_bias(c_) += ds * slope;
  }

  const SelectiveScanGradArgs<T>& args_;
  const SelectiveScanInputs<T>& in_;
  int64_t b_, c_, g_, state_;
  std::vector<T> decays_, decayed_;  // (time, state)
  std::vector<T> adjoint_;           // (state) exp(s[t+1] A) g[t+1]
};

/// Sets to zero the gradients that are sums over several channels or steps.
template <typename T>
void clear_selective_scan_sums(const SelectiveScanGradArgs<T>& args) {
  for (int64_t c = 0; c < args.dA.extent(0); ++c) {
    for (int64_t n = 0; n < args.dA.extent(1); ++n) args.dA(c, n) = 0;
    if (!args.dD.absent()) args.dD(c) = 0;
    if (!args.ddt_bias.absent()) args.ddt_bias(c) = 0;
  }
  for (int64_t b = 0; b < args.dB.extent(0); ++b) {
    for (int64_t t = 0; t < args.dB.extent(1); ++t) {
      for (int64_t g = 0; g < args.dB.extent(2); ++g) {
        for (int64_t n = 0; n < args.dB.extent(3); ++n)
          args.dB(b, t, g, n) = args.dC(b, t, g, n) = 0;
      }
    }
  }
}

/// selective_scan_backward line for line.
template <typename T>
void selective_scan_backward_ref(const SelectiveScanGradArgs<T>& args) {
  clear_selective_scan_sums(args);
  for (int64_t b = 0; b < args.in.u.extent(0); ++b) {
    for (int64_t c = 0; c < args.in.u.extent(2); ++c) {
      SelectiveScanAdjointRef<T> adjoint(args, b, c);
      adjoint.forward();
      adjoint.backward();
    }
  }
}

}  // namespace longwave::ops
