// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/simulate.h"

#include "longwave/base/error.h"

namespace longwave::theory {
namespace {

using Eigen::Index;

// `at(k)` is the system of sample k.
template <typename SystemAt>
Trajectory run(const SystemAt& at, const Eigen::MatrixXd& u, const Eigen::VectorXcd& state,
               Index outputs) {
  Trajectory result{Eigen::MatrixXd(u.rows(), outputs), state};
  Eigen::VectorXcd& x = result.state;
  for (Index k = 0; k < u.rows(); ++k) {
    const DiscreteSystem& system = at(k);
    const Eigen::VectorXd input = u.row(k).transpose();
    x = (system.A * x + system.B * input).eval();
    result.y.row(k) = (system.C * x).real() + system.D * input;
  }
  return result;
}

void check(const DiscreteSystem& system, const Eigen::MatrixXd& u, const Eigen::VectorXcd& state) {
  check_shapes(system, "simulate");
  require(u.cols() == system.B.cols(), "simulate", "u must be (time, inputs)");
  require(state.size() == system.A.rows(), "simulate", "state must have n entries");
}

}  // namespace

Trajectory simulate(const DiscreteSystem& system, const Eigen::MatrixXd& u,
                    const Eigen::VectorXcd& state) {
  check(system, u, state);
  return run([&](Index) -> const DiscreteSystem& { return system; }, u, state, system.C.rows());
}

Trajectory simulate(const DiscreteSystem& system, const Eigen::MatrixXd& u) {
  return simulate(system, u, Eigen::VectorXcd::Zero(system.A.rows()));
}

Trajectory simulate(std::span<const DiscreteSystem> steps, const Eigen::MatrixXd& u,
                    const Eigen::VectorXcd& state) {
  require(steps.size() == static_cast<size_t>(u.rows()), "simulate",
          "there must be one step per sample");
  for (const DiscreteSystem& step : steps) {
    check(step, u, state);
    require(step.C.rows() == steps[0].C.rows(), "simulate", "all steps must have the same outputs");
  }
  const Index outputs = steps.empty() ? 0 : steps[0].C.rows();
  return run([&](Index k) -> const DiscreteSystem& { return steps[k]; }, u, state, outputs);
}

}  // namespace longwave::theory
