// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/system.h"

#include <fmt/core.h>

#include "longwave/base/error.h"

namespace longwave::theory {
namespace {

template <typename System>
void check(const System& system, const char* where) {
  const auto& [A, B, C, D] = system;
  const bool fits = A.rows() == A.cols() && B.rows() == A.rows() && C.cols() == A.rows() &&
                    D.rows() == C.rows() && D.cols() == B.cols();
  if (fits) return;
  throw InvalidArgument(
      {where, "the matrices of the system do not fit together",
       fmt::format("A ({}, {}), B ({}, {}), C ({}, {}), D ({}, {})", A.rows(), A.cols(), B.rows(),
                   B.cols(), C.rows(), C.cols(), D.rows(), D.cols()),
       "use A (n, n), B (n, inputs), C (outputs, n), D (outputs, inputs)"});
}

}  // namespace

void check_shapes(const ContinuousSystem& system, const char* where) { check(system, where); }
void check_shapes(const DiscreteSystem& system, const char* where) { check(system, where); }

}  // namespace longwave::theory
