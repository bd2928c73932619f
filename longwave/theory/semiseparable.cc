// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/semiseparable.h"

#include <algorithm>
#include <cmath>

#include "longwave/base/error.h"
#include "longwave/theory/decompositions.h"

namespace longwave::theory {

using Eigen::Index;
using Eigen::MatrixXd;

MatrixXd sequence_matrix(std::span<const DiscreteSystem> steps) {
  for (const DiscreteSystem& step : steps) {
    check_shapes(step, "sequence_matrix");
    require(step.B.cols() == 1 && step.C.rows() == 1, "sequence_matrix",
            "every step must have one input and one output");
    require(step.A.rows() == steps[0].A.rows(), "sequence_matrix",
            "every step must have the same number of states");
  }
  const auto time = static_cast<Index>(steps.size());
  MatrixXd M = MatrixXd::Zero(time, time);
  for (Index j = 0; j < time; ++j) {
    Eigen::VectorXcd x = steps[j].B;
    for (Index i = j; i < time; ++i) {
      if (i > j) x = (steps[i].A * x).eval();
      M(i, j) = (steps[i].C * x).real().value();
    }
    M(j, j) += steps[j].D(0, 0);
  }
  return M;
}

MatrixXd decay_matrix(std::span<const double> log_a) {
  const auto time = static_cast<Index>(log_a.size());
  MatrixXd L = MatrixXd::Zero(time, time);
  for (Index j = 0; j < time; ++j) {
    double sum = 0;
    for (Index i = j; i < time; ++i) {
      if (i > j) sum += log_a[i];
      L(i, j) = std::exp(sum);
    }
  }
  return L;
}

int64_t semiseparable_rank(const MatrixXd& M, double relative) {
  require(M.rows() == M.cols(), "semiseparable_rank", "the matrix must be square");
  if (M.size() == 0) return 0;
  const double largest = singular_values(M)(0);
  int64_t rank = 0;
  for (Index i = 0; i < M.rows(); ++i) {
    const Eigen::VectorXd values = singular_values(M.block(i, 0, M.rows() - i, i + 1));
    rank = std::max<int64_t>(rank, (values.array() > relative * largest).count());
  }
  return rank;
}

}  // namespace longwave::theory
