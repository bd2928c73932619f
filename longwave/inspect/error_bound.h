// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/theory/system.h"

namespace longwave::inspect {

/// The arithmetic whose rounding is bounded: its machine epsilon.
struct Arithmetic {
  double epsilon;
};

/// How far outputs may lie from the exact ones when a system is run in floating point.
///
/// First-order running error analysis. Each step may be wrong, entry by entry, by
///
///   local[k] = eps (n + inputs + 8) (|A| |x[k-1]| + |B| |u[k]|)
///
/// which covers the rounding of the coefficients, of the products and of the sums in any order;
/// what reaches the outputs is at most
///
///   bound[k] = sum_j |C A^j| local[k-j] + eps (n + inputs + 8) (|C| |x[k]| + |D| |u[k]|)
///
/// Diagonal A: a mode has one product a step, so its factor is eps (inputs + 8 + |log a|), where
/// |log a| is what rounding the exponent does to a = exp(log a). |x| is replaced by its majorant
/// |a| |x| + |B| |u|, so that the bound holds for every order of evaluation: step by step,
/// in chunks, or as a convolution.
///
/// Dense A: x is the exact trajectory and local[k-j] is replaced by the largest so far. A term
/// eps (8 + log2 of twice the length) |K| |u| in Euclidean norms allows for a transform.
///
/// Shapes     u (time, inputs); the result is (time, outputs).
/// Source     Higham 2002, "Accuracy and Stability of Numerical Algorithms", chapters 3, 18 and 24.
/// Numerics   terms of order eps^2 are left out.
/// Cost       diagonal: time n (inputs + outputs); dense: time n (n + outputs) outputs.
/// Errors     InvalidArgument if shapes disagree.
Eigen::MatrixXd rounding_bound(const theory::DiscreteSystem& system, const Eigen::MatrixXd& u,
                               Arithmetic arithmetic);

/// True if A has nothing off its diagonal.
bool is_diagonal(const theory::DiscreteSystem& system);

}  // namespace longwave::inspect
