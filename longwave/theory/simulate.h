// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "longwave/theory/system.h"

namespace longwave::theory {

/// What a simulation gives.
struct Trajectory {
  Eigen::MatrixXd y;       ///< (time, outputs)
  Eigen::VectorXcd state;  ///< (n) after the last sample
};

/// Runs a system line by line as its formula says; the judge of every faster form.
///
///   x[k] = A x[k-1] + B u[k],   y[k] = Re(C x[k]) + D u[k],   x[-1] = state
///
/// Shapes     u (time, inputs), state (n). time may be 0.
/// Cost       time * n * (n + inputs + outputs) complex multiply-adds.
/// Errors     InvalidArgument if shapes disagree.
Trajectory simulate(const DiscreteSystem& system, const Eigen::MatrixXd& u,
                    const Eigen::VectorXcd& state);

/// The same from the zero state.
Trajectory simulate(const DiscreteSystem& system, const Eigen::MatrixXd& u);

/// The same with a system of its own for every sample: steps[k] takes x[k-1] to x[k].
///
/// Errors     InvalidArgument if shapes disagree or there are not as many steps as samples.
Trajectory simulate(std::span<const DiscreteSystem> steps, const Eigen::MatrixXd& u,
                    const Eigen::VectorXcd& state);

}  // namespace longwave::theory
