// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "longwave/base/view.h"

namespace longwave::ops {

/// Scalar functions that layers apply to each element.
///
///   kIdentity  f(x) = x
///   kExp       f(x) = e^x
///   kSigmoid   f(x) = 1 / (1 + e^-x)
///   kSilu      f(x) = x sigmoid(x)
///   kGelu      f(x) = x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)), the tanh form
///
/// Source     Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2 (kGelu); Elfwing et al. 2017,
///            arXiv:1702.03118 (kSilu).
enum class Activation : uint8_t { kIdentity, kExp, kSigmoid, kSilu, kGelu };

/// Worst relative error of the float32 exponential: truncation of the polynomial (1.1e-8) and the
/// rounding of the reduced argument, of Horner's rule and of the final sum (1.5 units of 2^-23).
/// Holds where e^x is a normal number; below, the result is a denormal number or zero.
inline constexpr float kExpRelativeError = 2.0e-7f;

/// y = f(x), element by element; `y` may be `x` itself.
///
/// Numerics   float32: SIMD with the exponential above; float64: the C++ library. NaN stays NaN.
/// Cost       one pass over memory; no allocation.
/// Errors     InvalidArgument if the sizes differ.
/// Threads    safe for distinct outputs; runs on the pool of parallel_for.
template <typename T>
void activate(Activation f, std::span<const T> x, std::span<T> y);

/// dx = dy f'(x); `dx` may be `dy` or `x` itself. Otherwise as `activate`.
template <typename T>
void activate_grad(Activation f, std::span<const T> x, std::span<const T> dy, std::span<T> dx);

/// A gated linear unit: y = value f(gate).
///
/// Source     Dauphin et al. 2017, arXiv:1612.08083 (sigmoid); Shazeer 2020, arXiv:2002.05202.
/// Numerics   as `activate`.
/// Errors     InvalidArgument if the shapes differ.
/// Threads    as `activate`.
template <typename T>
struct GateArgs {
  Activation f = Activation::kSigmoid;
  View<const T, 2> value;  // (rows, channels)
  View<const T, 2> gate;   // (rows, channels)
  View<T, 2> y;            // (rows, channels) out; may be `value` or `gate`
};
template <typename T>
void gate(const GateArgs<T>& args);

/// Gradients of `gate`: dvalue = dy f(gate), dgate = dy value f'(gate).
template <typename T>
struct GateGradArgs {
  Activation f = Activation::kSigmoid;
  View<const T, 2> value;  // (rows, channels)
  View<const T, 2> gate;   // (rows, channels)
  View<const T, 2> dy;     // (rows, channels)
  View<T, 2> dvalue;       // (rows, channels) out; may be `dy`
  View<T, 2> dgate;        // (rows, channels) out; may be `gate`
};
template <typename T>
void gate_grad(const GateGradArgs<T>& args);

/// y = x + m h: the end of a residual branch, with `m` the dropout mask times 1 / keep rate.
///
/// A mask that is tied over time has a stride of 0 there.
///
/// Errors     InvalidArgument if the shapes differ.
/// Threads    as `activate`.
template <typename T>
struct ResidualArgs {
  View<const T, 2> x;  // (rows, channels), or absent for 0
  View<const T, 2> m;  // (rows, channels), or absent for 1
  View<const T, 2> h;  // (rows, channels)
  View<T, 2> y;        // (rows, channels) out; may be `x` or `h`
};
template <typename T>
void residual(const ResidualArgs<T>& args);

/// The same by the plain formulas, in type T and on one thread: the oracle of the tests.
template <typename T>
void activate_ref(Activation f, std::span<const T> x, std::span<T> y);
template <typename T>
void activate_grad_ref(Activation f, std::span<const T> x, std::span<const T> dy, std::span<T> dx);
template <typename T>
void gate_ref(const GateArgs<T>& args);
template <typename T>
void gate_grad_ref(const GateGradArgs<T>& args);
template <typename T>
void residual_ref(const ResidualArgs<T>& args);

}  // namespace longwave::ops
