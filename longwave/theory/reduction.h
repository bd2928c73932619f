// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/theory/system.h"

namespace longwave::theory {

/// A smaller system and what it is worth.
struct Reduction {
  DiscreteSystem system;                   ///< real matrices, stable
  Eigen::VectorXd hankel_singular_values;  ///< of the original, all of them
  double error_bound = 0;  ///< on the largest gain of the difference, at any frequency
};

/// Balanced truncation: keeps the `order` states that couple inputs to outputs most.
///
///   |H(omega) - H_reduced(omega)| <= error_bound = 2 sum of the discarded Hankel singular values
///
/// so for every input, |y - y_reduced| <= error_bound |u| in the 2-norm over all time.
/// States whose Hankel singular value is rounding (below n eps of the largest) are dropped even if
/// `order` would keep them; they contribute nothing that double precision can see.
///
/// Source     Moore 1981; Enns 1984 and Glover 1984 (bound), Al-Saggaf & Franklin 1987 (discrete
///            time); square-root algorithm of Tombs & Postlethwaite 1987.
/// Cost       about 30 n^3 for n states of the real form.
/// Errors     InvalidArgument if order < 0 or the system is not stable.
Reduction balanced_truncation(const DiscreteSystem& system, int64_t order);

}  // namespace longwave::theory
