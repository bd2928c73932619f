// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/real_form.h"

namespace longwave::theory {
namespace {

template <typename System>
RealSystem split(const System& system) {
  check_shapes(system, "real_form");
  const auto& [A, B, C, D] = system;
  const bool real = A.imag().isZero(0) && B.imag().isZero(0) && C.imag().isZero(0);
  if (real) return {A.real(), B.real(), C.real(), D};

  const Eigen::Index n = A.rows();
  RealSystem result{Eigen::MatrixXd(2 * n, 2 * n), Eigen::MatrixXd(2 * n, B.cols()),
                    Eigen::MatrixXd(C.rows(), 2 * n), D};
  result.A << A.real(), -A.imag(), A.imag(), A.real();
  result.B << B.real(), B.imag();
  result.C << C.real(), -C.imag();
  return result;
}

}  // namespace

RealSystem real_form(const DiscreteSystem& system) { return split(system); }
RealSystem real_form(const ContinuousSystem& system) { return split(system); }

}  // namespace longwave::theory
