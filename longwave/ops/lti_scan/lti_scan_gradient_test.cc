// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "longwave/ops/lti_scan/testing/lti_problem.h"

namespace longwave::ops {
namespace {

using testing::compare;
using testing::kLtiSizes;
using testing::name;
using testing::output_bound;
using testing::Tolerance;
using testing::Worst;
using Size = testing::LtiSize;
template <typename T>
using Problem = testing::LtiProblem<T>;

// Sums over time of products of two states of about 50, for da; smaller for the others.
Tolerance gradient_bound(const Size& size) {
  return Tolerance::sum<float>(size.batch * size.time + size.modes * 50 + 1, 2500);
}

// L = sum dy y + sum Re(conj(dh) h[time-1]), whose gradients the backward pass must give.
double loss(Problem<double>& problem) {
  const std::vector<std::complex<double>> h0 = problem.h;
  problem.forward();
  double sum = 0;
  for (size_t i = 0; i < problem.y.size(); ++i) sum += problem.dy[i] * problem.y[i];
  for (size_t i = 0; i < problem.h.size(); ++i) {
    sum += std::real(std::conj(problem.dh[i]) * problem.h[i]);
  }
  problem.h = h0;
  return sum;
}

TEST(LtiScanGradient, GradientMatchesFiniteDifference) {
  const Size size{2, 11, 3, 2};
  Problem<double> problem(size, 13);
  problem.backward();
  Worst worst(name(size));
  const double step = 1e-5;
  // Central differences of a function that is a polynomial of high degree in a.
  const Tolerance bound{1e-6};
  const auto check = [&](double& value, double gradient, int64_t index) {
    const double former = value;
    value = former + step;
    const double above = loss(problem);
    value = former - step;
    const double below = loss(problem);
    value = former;
    worst.compare(index, (above - below) / (2 * step), gradient, bound);
  };
  const auto check_complex = [&](std::vector<std::complex<double>>& values,
                                 const std::vector<std::complex<double>>& gradients) {
    for (size_t i = 0; i < values.size(); ++i) {
      auto* parts = reinterpret_cast<double*>(&values[i]);
      check(parts[0], gradients[i].real(), static_cast<int64_t>(i));
      check(parts[1], gradients[i].imag(), static_cast<int64_t>(i));
    }
  };
  for (size_t i = 0; i < problem.u.size(); ++i) check(problem.u[i], problem.du[i], 0);
  for (size_t i = 0; i < problem.d.size(); ++i) check(problem.d[i], problem.dd[i], 1);
  check_complex(problem.a, problem.da);
  check_complex(problem.c, problem.dc);
  check_complex(problem.h, problem.dh0);
  EXPECT_TRUE(worst.ok());
}

TEST(LtiScanGradient, BackendsAgreeOnGradients) {
  for (const Size& size : kLtiSizes) {
    Problem<float> kernel(size, 14);
    Problem<double> oracle(size, 14);
    kernel.backward();
    oracle.backward();
    Worst worst(name(size));
    worst.compare(-1, 0.0, 0.0, gradient_bound(size));
    compare(worst, oracle.du, kernel.du, output_bound<float>(size));
    compare(worst, oracle.dh0, kernel.dh0, output_bound<float>(size));
    compare(worst, oracle.dd, kernel.dd, gradient_bound(size));
    compare(worst, oracle.dc, kernel.dc, gradient_bound(size));
    compare(worst, oracle.da, kernel.da, gradient_bound(size));
    EXPECT_TRUE(worst.ok());
  }
}

}  // namespace
}  // namespace longwave::ops
