// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

#include "longwave/base/error.h"

namespace longwave::theory {

/// The map h -> a h + b: one step of a linear recurrence, or many of them combined.
template <typename T>
struct Affine {
  T a = 1;
  T b = 0;

  T operator()(T h) const { return a * h + b; }
};

/// `first`, then `second`. Associative, with Affine{} as identity; this is why a recurrence can be
/// evaluated in any grouping.
///
/// Source     Blelloch 1990, "Prefix sums and their applications"; mathematics.md 2.5.
template <typename T>
Affine<T> combine(const Affine<T>& first, const Affine<T>& second) {
  return {second.a * first.a, second.a * first.b + second.b};
}

/// h[t] = a[t] h[t-1] + b[t] with h[-1] = start, step by step.
template <typename T>
std::vector<T> linear_recurrence(std::span<const T> a, std::span<const T> b, T start) {
  require(a.size() == b.size(), "linear_recurrence", "a and b must have the same length");
  std::vector<T> h(a.size());
  T state = start;
  for (size_t t = 0; t < h.size(); ++t) h[t] = state = a[t] * state + b[t];
  return h;
}

/// The same in three passes, as several threads would do it: scan each block from zero, scan the
/// totals of the blocks, apply to each block what comes in.
template <typename T>
std::vector<T> blocked_recurrence(std::span<const T> a, std::span<const T> b, T start,
                                  size_t block) {
  require(a.size() == b.size(), "blocked_recurrence", "a and b must have the same length");
  require(block > 0, "blocked_recurrence", "the block must not be empty");
  std::vector<Affine<T>> prefix(a.size());
  Affine<T> local;
  for (size_t t = 0; t < prefix.size(); ++t) {
    if (t % block == 0) local = {};
    prefix[t] = local = combine(local, Affine<T>{a[t], b[t]});
  }
  std::vector<T> h(a.size());
  Affine<T> carry;
  for (size_t t = 0; t < h.size(); ++t) {
    const Affine<T> whole = combine(carry, prefix[t]);
    h[t] = whole(start);
    if ((t + 1) % block == 0) carry = whole;
  }
  return h;
}

/// Gradients of a real loss through a linear recurrence.
template <typename T>
struct RecurrenceGradient {
  std::vector<T> a, b;  // (time)
  T start{};
};

/// The backward pass: the same recurrence, reversed, with the decays shifted by one.
///
///   g[t] = dh[t] + conj(a[t+1]) g[t+1],  da[t] = g[t] conj(h[t-1]),  db[t] = g[t]
///
/// `h` is what linear_recurrence gave, `dh` the gradient of the loss with respect to it; gradients
/// of complex numbers are dL/dRe + i dL/dIm.
template <typename T>
RecurrenceGradient<T> linear_recurrence_backward(std::span<const T> a, T start,
                                                 std::span<const T> h, std::span<const T> dh) {
  require(a.size() == h.size() && a.size() == dh.size(), "linear_recurrence_backward",
          "a, h and dh must have the same length");
  const auto conjugate = [](T value) -> T {
    if constexpr (std::is_floating_point_v<T>) {
      return value;
    } else {
      return std::conj(value);
    }
  };
  RecurrenceGradient<T> gradient{std::vector<T>(a.size()), std::vector<T>(a.size()), {}};
  T g = 0;
  for (size_t t = a.size(); t-- > 0;) {
    g = dh[t] + g;
    gradient.a[t] = g * conjugate(t == 0 ? start : h[t - 1]);
    gradient.b[t] = g;
    g = conjugate(a[t]) * g;
  }
  gradient.start = g;
  return gradient;
}

}  // namespace longwave::theory
