// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"

namespace longwave::ops {

/// The convolution kernel of a diagonal system: the product of c with a Vandermonde matrix.
///
///   K_l = Re(sum_n c_n a_n^l),   l < length
///
/// which is the impulse response of lti_scan with the same a and c.
///
/// Source     Gu et al. 2022, arXiv:2206.11893 (S4D), section 3.3.
/// Numerics   float: powers within a block come from double and are carried from block to block in
///            double, so that the error does not grow with l. |a| > 1 may overflow.
/// Cost       2 multiply-adds a mode and tap, 0.1 with 16 lanes; no allocation.
/// Errors     InvalidArgument if shapes disagree.
/// Threads    parallel over channels; the result does not depend on how many.
template <typename T>
struct VandermondeArgs {
  View<const std::complex<T>, 2> a;  // (channels, modes)
  View<const std::complex<T>, 2> c;  // (channels, modes)
  View<T, 2> K;                      // (channels, length) out
};

/// Gradients of vandermonde. A complex gradient is dL/d(re) + i dL/d(im). Outputs are overwritten.
///
///   dc_n = conj(sum_l dK_l a_n^l),   da_n = conj(c_n sum_l dK_l l a_n^(l-1))
template <typename T>
struct VandermondeGradArgs {
  View<const std::complex<T>, 2> a;
  View<const std::complex<T>, 2> c;
  View<const T, 2> dK;  // (channels, length)
  View<std::complex<T>, 2> da;
  View<std::complex<T>, 2> dc;
};

/// Bytes of workspace that let all threads run, forward or backward.
size_t vandermonde_workspace_bytes(int64_t length);

void vandermonde(const VandermondeArgs<float>& args, Workspace& workspace);
void vandermonde(const VandermondeArgs<double>& args, Workspace& workspace);
void vandermonde_grad(const VandermondeGradArgs<float>& args, Workspace& workspace);
void vandermonde_grad(const VandermondeGradArgs<double>& args, Workspace& workspace);

/// The formula, line by line; float and double.
template <typename T>
void vandermonde_ref(const VandermondeArgs<T>& args);
template <typename T>
void vandermonde_grad_ref(const VandermondeGradArgs<T>& args);

/// SIMD over taps, behind vandermonde: no checks.
void vandermonde_cpu(const VandermondeArgs<float>& args, Workspace& workspace);
void vandermonde_grad_cpu(const VandermondeGradArgs<float>& args, Workspace& workspace);

}  // namespace longwave::ops
