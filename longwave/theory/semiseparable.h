// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "longwave/theory/system.h"

namespace longwave::theory {

/// The matrix M of a time-varying system as a map of whole sequences: y = M u from the zero state.
///
///   M_ij = Re(C_i A_i ... A_{j+1} B_j) + [i = j] D_i,   i >= j;   zero above the diagonal
///
/// Every block on or below the diagonal has rank at most the number of real states: M is
/// semiseparable, and a time-invariant system gives a Toeplitz matrix.
///
/// Shapes     (time, time) for time steps of one input and one output.
/// Source     Dao & Gu 2024, arXiv:2405.21060, section 3; mathematics.md 2.8.
/// Cost       time^2 n^2.
/// Errors     InvalidArgument unless every step has one input, one output and the same n.
Eigen::MatrixXd sequence_matrix(std::span<const DiscreteSystem> steps);

/// The decays of a scalar system between all pairs of times, lower triangular:
/// L_ij = exp(sum_{k=j+1..i} log_a_k). With scalar A, M = L . (C B^T).
Eigen::MatrixXd decay_matrix(std::span<const double> log_a);

/// The largest rank among the blocks M[i:, :i+1], to `relative` of M's largest singular value.
///
/// Errors     InvalidArgument if M is not square.
int64_t semiseparable_rank(const Eigen::MatrixXd& M, double relative);

}  // namespace longwave::theory
