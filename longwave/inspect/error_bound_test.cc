// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/error_bound.h"

#include <gtest/gtest.h>

#include <Eigen/LU>
#include <complex>
#include <limits>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/theory/simulate.h"

namespace longwave::inspect {
namespace {

using Complex = std::complex<double>;
using Eigen::MatrixXcd;
using Eigen::MatrixXcf;
using Eigen::MatrixXd;

MatrixXcd random_matrix(Eigen::Index rows, Eigen::Index columns, double size, Random& random) {
  return MatrixXcd::NullaryExpr(rows, columns,
                                [&]() { return size * Complex(random.normal(), random.normal()); });
}

enum class Form { kDiagonal, kDense };

/// A stable system whose slowest mode remembers about `memory` steps.
theory::DiscreteSystem random_system(Eigen::Index n, Eigen::Index inputs, double memory, Form form,
                                     Random& random) {
  theory::DiscreteSystem system;
  system.A = MatrixXcd::Zero(n, n);
  for (Eigen::Index i = 0; i < n; ++i) {
    system.A(i, i) = std::polar(std::exp(-random.uniform(1, 5) / memory), random.uniform(-3, 3));
  }
  if (form == Form::kDense) {
    const MatrixXcd basis = random_matrix(n, n, 1, random);
    system.A = basis * system.A * basis.inverse();
  }
  system.B = random_matrix(n, inputs, 1, random);
  system.C = random_matrix(inputs, n, 1, random);
  system.D = MatrixXd::NullaryExpr(inputs, inputs, [&]() { return random.normal(); });
  return system;
}

MatrixXd random_input(Eigen::Index time, Eigen::Index inputs, Random& random) {
  return MatrixXd::NullaryExpr(
      time, inputs, [&]() { return static_cast<double>(static_cast<float>(random.normal())); });
}

/// The recurrence in float32, coefficients rounded first.
MatrixXd run_in_float(const theory::DiscreteSystem& system, const MatrixXd& u) {
  const MatrixXcf A = system.A.cast<std::complex<float>>(),
                  B = system.B.cast<std::complex<float>>();
  const MatrixXcf C = system.C.cast<std::complex<float>>();
  const Eigen::MatrixXf D = system.D.cast<float>();
  Eigen::VectorXcf x = Eigen::VectorXcf::Zero(A.rows());
  MatrixXd y(u.rows(), C.rows());
  for (Eigen::Index k = 0; k < u.rows(); ++k) {
    const Eigen::VectorXf sample = u.row(k).transpose().cast<float>();
    x = (A * x + B * sample.cast<std::complex<float>>()).eval();
    y.row(k) = ((C * x).real() + D * sample).cast<double>().transpose();
  }
  return y;
}

/// The largest share of the bound that the error of the float32 run takes up.
double worst_ratio(const theory::DiscreteSystem& run, const theory::DiscreteSystem& judged,
                   const MatrixXd& u) {
  const MatrixXd error = (run_in_float(run, u) - theory::simulate(judged, u).y).cwiseAbs();
  const MatrixXd bound =
      rounding_bound(judged, u, {.epsilon = std::numeric_limits<float>::epsilon()});
  return error.cwiseQuotient(bound).maxCoeff();
}

TEST(ErrorBound, HoldsForFloatRecurrences) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    for (const Form form : {Form::kDiagonal, Form::kDense}) {
      const Eigen::Index n = 1 + random.integer(24), inputs = 1 + random.integer(3);
      const theory::DiscreteSystem system =
          random_system(n, inputs, random.uniform(2, 400), form, random);
      const MatrixXd u = random_input(1 + random.integer(300), inputs, random);
      const double ratio = worst_ratio(system, system, u);
      EXPECT_LE(ratio, 1) << "seed " << seed << (form == Form::kDense ? " dense" : " diagonal");
    }
  }
}

TEST(ErrorBound, IsTightEnoughToSeeAWrongCoefficient) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Random random(seed);
    for (const Form form : {Form::kDiagonal, Form::kDense}) {
      const theory::DiscreteSystem system = random_system(8, 1, 50, form, random);
      const MatrixXd u = random_input(200, 1, random);
      theory::DiscreteSystem wrong = system;
      wrong.A(0, 0) *= 1 + 3e-3;
      EXPECT_GT(worst_ratio(wrong, system, u), 1) << "seed " << seed << " A";
      wrong = system;
      wrong.C(0, 3) += 1e-2;
      EXPECT_GT(worst_ratio(wrong, system, u), 1) << "seed " << seed << " C";
    }
  }
}

TEST(ErrorBound, IsNotVacuous) {
  Random random(7);
  const theory::DiscreteSystem system = random_system(32, 1, 100, Form::kDiagonal, random);
  EXPECT_GT(worst_ratio(system, system, random_input(500, 1, random)), 0.01 / 32);
}

TEST(ErrorBound, AcceptsNoSamplesAndRejectsWrongShapes) {
  Random random(1);
  const theory::DiscreteSystem system = random_system(3, 2, 10, Form::kDiagonal, random);
  EXPECT_EQ(rounding_bound(system, MatrixXd(0, 2), {1e-7}).rows(), 0);
  EXPECT_THROW(rounding_bound(system, MatrixXd(4, 1), {1e-7}), InvalidArgument);
}

}  // namespace
}  // namespace longwave::inspect
