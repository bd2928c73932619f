// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <limits>

#include "longwave/theory/hippo.h"

namespace longwave::theory {

/// The vectors that make a HiPPO matrix normal: A + P P^T = c I + skew-symmetric.
///
/// Shapes     (n, rank): rank 1, for LegT 2.
/// Source     Gu, Goel, Re 2022, arXiv:2111.00396, theorem 1; mathematics.md 2.2.
Eigen::MatrixXd low_rank_term(Hippo kind, int64_t n);

/// A HiPPO system in the basis where its normal part is diagonal; conjugate pairs stored once.
///
///   V^* A V = diag(Lambda) - P P^*   on (x, conj x), of which V, Lambda, P, B keep one half:
///   V is (n, n/2); the full eigenvector matrix is [V, conj V]
///
/// The kept half has Im <= 0, ascending, so the fastest mode comes first.
struct NormalForm {
  Eigen::VectorXcd Lambda;  // (n/2)
  Eigen::MatrixXcd P;       // (n/2, rank)
  Eigen::VectorXcd B;       // (n/2)
  Eigen::MatrixXcd V;       // (n, n/2)
};

struct NormalFormOptions {
  /// Largest |b| allowed, > 0; larger entries are scaled down to it. The code of S4 clips the
  /// imaginary part to 2 instead, which depends on the phase an eigensolver happens to return.
  double largest_input = std::numeric_limits<double>::infinity();
  /// The beta of LagT.
  double tilt = 0;
};

/// The normal form of a HiPPO system of even order n.
///
/// Each eigenvector has the canonical phase: its entry in the first column of P is real and
/// positive, or that of B where P has none, so results do not depend on the eigensolver.
/// FouT's double eigenvalue zero, which real vectors span, is given as one conjugate pair.
///
/// Numerics   Hermitian eigenproblem of -i (A + P P^T - c I): unitary V, errors n eps |A|.
/// Errors     InvalidArgument if n is odd or below 2.
NormalForm normal_form(Hippo kind, int64_t n, const NormalFormOptions& options = {});

}  // namespace longwave::theory
