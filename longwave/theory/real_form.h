// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/theory/system.h"

namespace longwave::theory {

/// A system with real matrices.
struct RealSystem {
  Eigen::MatrixXd A, B, C, D;
};

/// The same input-output map with real matrices: x becomes (Re x, Im x).
///
///   A = [[Re A, -Im A], [Im A, Re A]],  B = [[Re B], [Im B]],  C = [Re C, -Im C]
///
/// Taking Re(C x) is linear over the real numbers only; Gramians, Hankel singular values and
/// reduction need this form. A system that is real already keeps its n states, else n doubles.
RealSystem real_form(const DiscreteSystem& system);
RealSystem real_form(const ContinuousSystem& system);

}  // namespace longwave::theory
