// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/reduction.h"

#include <algorithm>
#include <limits>

#include "longwave/base/error.h"
#include "longwave/theory/decompositions.h"
#include "longwave/theory/gramian.h"
#include "longwave/theory/real_form.h"

namespace longwave::theory {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

Reduction balanced_truncation(const DiscreteSystem& system, int64_t order) {
  require(order >= 0, "balanced_truncation", "order must not be negative");
  const RealSystem real = real_form(system);
  const Index n = real.A.rows();
  const MatrixXd reached = gramian_factor(real.A, real.B);
  const MatrixXd seen = gramian_factor(real.A.transpose(), real.C.transpose());
  const auto [U, sigma, V] = singular_form(seen.transpose() * reached);

  Reduction result;
  result.hankel_singular_values = VectorXd::Zero(n);
  result.hankel_singular_values.head(sigma.size()) = sigma;
  const double negligible = static_cast<double>(n) * std::numeric_limits<double>::epsilon() *
                            (sigma.size() == 0 ? 0 : sigma(0));
  const Index kept = std::min<Index>(order, (sigma.array() > negligible).count());
  result.error_bound = 2 * sigma.tail(sigma.size() - kept).sum();

  // With Gramian factors W_c = R R^T, W_o = S S^T and S^T R = U sigma V^T, the maps
  // T = R V sigma^-1/2 and T^+ = sigma^-1/2 U^T S^T balance the kept states.
  const VectorXd scale = sigma.head(kept).cwiseSqrt().cwiseInverse();
  const MatrixXd T = reached * V.leftCols(kept) * scale.asDiagonal();
  const MatrixXd T_inverse = scale.asDiagonal() * U.leftCols(kept).transpose() * seen.transpose();
  result.system = {T_inverse * real.A * T, T_inverse * real.B, real.C * T, real.D};
  return result;
}

}  // namespace longwave::theory
