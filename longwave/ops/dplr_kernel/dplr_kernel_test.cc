// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/dplr_kernel/dplr_kernel.h"

#include <gtest/gtest.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/theory/dplr.h"
#include "longwave/theory/normal_form.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

/// rank 1: LegS, rank 2: LegT, rank 0: the diagonal part of LegS.
struct Case {
  int64_t length, channels, modes, rank;
};

constexpr Case kCases[] = {
    {1, 2, 3, 1},   {2, 1, 1, 1},   {3, 1, 2, 2},    {7, 3, 4, 1},    {16, 5, 4, 0},
    {31, 33, 3, 1}, {48, 2, 6, 2},  {64, 40, 8, 1},  {100, 2, 5, 2},  {127, 3, 32, 1},
    {128, 1, 9, 2}, {129, 4, 7, 0}, {512, 2, 32, 1}, {768, 2, 32, 1}, {1000, 1, 16, 2},
};

template <typename T>
std::vector<T> poison(int64_t count) {
  return std::vector<T>(static_cast<size_t>(count), T(std::numeric_limits<double>::quiet_NaN()));
}

/// All operands of a case in type T, from one set of float32 numbers.
template <typename T>
struct Operands {
  using Complex = std::complex<T>;

  explicit Operands(const Case& c)
      : shape(c),
        dK(c.channels * c.length),
        K(poison<T>(c.channels * c.length)),
        dLambda(poison<Complex>(c.channels * c.modes)),
        dP(poison<Complex>(c.rank * c.channels * c.modes)),
        dB(dLambda),
        dCt(dLambda),
        ddt(poison<T>(c.channels)),
        plan(c.length) {
    Random random(11, static_cast<uint64_t>(c.length));
    const theory::NormalForm form =
        theory::normal_form(c.rank == 2 ? theory::Hippo::kLegT : theory::Hippo::kLegS, 2 * c.modes);
    const auto number = [&](std::complex<double> x) { return Complex(std::complex<float>(x)); };
    P.resize(dP.size());
    for (int64_t i = 0; i < c.channels; ++i) {
      dt.push_back(static_cast<float>(std::exp(random.uniform(std::log(1e-3), std::log(1e-1)))));
      for (int64_t n = 0; n < c.modes; ++n) {
        // LegT has no damping of its own.
        const double damping = c.rank == 2 ? 0.2 : 0.0;
        Lambda.push_back(number(form.Lambda(n) - damping));
        const double re = random.normal();
        Ct.push_back(number({re, random.normal()}));
        const double perturbation = random.normal();
        B.push_back(number(form.B(n) + 0.1 * perturbation));
        for (int64_t r = 0; r < c.rank; ++r) {
          P[(r * c.channels + i) * c.modes + n] = number(form.P(n, r));
        }
      }
    }
    for (T& x : dK) x = static_cast<float>(random.normal());
  }

  DplrKernelArgs<T> forward() {
    return {.Lambda = matrix(Lambda),
            .P = tensor(P),
            .B = matrix(B),
            .Ct = matrix(Ct),
            .dt = row(dt),
            .K = kernel(K),
            .plan = &plan};
  }
  DplrKernelGradArgs<T> backward() {
    return {.Lambda = matrix(Lambda),
            .P = tensor(P),
            .B = matrix(B),
            .Ct = matrix(Ct),
            .dt = row(dt),
            .dK = kernel(dK),
            .dLambda = matrix(dLambda),
            .dP = tensor(dP),
            .dB = matrix(dB),
            .dCt = matrix(dCt),
            .ddt = row(ddt),
            .plan = &plan};
  }

  Workspace workspace() const {
    return Workspace(
        dplr_kernel_workspace_bytes(shape.length, shape.channels, shape.modes, shape.rank));
  }

  Case shape;
  std::vector<Complex> Lambda, P, B, Ct;
  std::vector<T> dt, dK, K;
  std::vector<Complex> dLambda, dP, dB, dCt;
  std::vector<T> ddt;
  DplrKernelPlan plan;

 private:
  View<Complex, 2> matrix(std::vector<Complex>& x) {
    return {x.data(), {shape.channels, shape.modes}};
  }
  View<Complex, 3> tensor(std::vector<Complex>& x) {
    if (shape.rank == 0) return {};
    return {x.data(), {shape.rank, shape.channels, shape.modes}};
  }
  View<T, 1> row(std::vector<T>& x) { return {x.data(), {shape.channels}}; }
  View<T, 2> kernel(std::vector<T>& x) { return {x.data(), {shape.channels, shape.length}}; }
};

template <typename Number>
double largest(const std::vector<Number>& x) {
  double result = 0;
  for (const Number& value : x) result = std::max(result, static_cast<double>(std::abs(value)));
  return result;
}

/// The kernel of one channel by powers of the dense matrix, in double.
std::vector<double> dense_kernel(const Operands<double>& x, int64_t channel) {
  const auto [length, channels, modes, rank] = x.shape;
  theory::Dplr system{Eigen::VectorXcd(modes), Eigen::MatrixXcd(modes, rank),
                      Eigen::VectorXcd(modes), Eigen::RowVectorXcd(modes)};
  for (int64_t n = 0; n < modes; ++n) {
    const int64_t at = channel * modes + n;
    system.Lambda(n) = x.Lambda[at];
    system.B(n) = x.B[at];
    system.C(n) = x.Ct[at];
    for (int64_t r = 0; r < rank; ++r) {
      system.P(n, r) = x.P[(r * channels + channel) * modes + n];
    }
  }
  const double dt = x.dt[channel];
  system.C = theory::recovered_output(system, dt, length);
  const theory::DiscreteSystem discrete = theory::bilinear_system(system, dt);
  std::vector<double> kernel;
  Eigen::VectorXcd state = discrete.B;
  for (int64_t l = 0; l < length; ++l) {
    kernel.push_back((discrete.C * state)(0).real());
    state = (discrete.A * state).eval();
  }
  return kernel;
}

TEST(DplrKernel, ReferenceEqualsPowersOfTheDenseSystem) {
  Worst worst("K");
  for (const Case& c : kCases) {
    if (c.length > 200) continue;
    Operands<double> x(c);
    dplr_kernel_ref(x.forward());
    for (int64_t i = 0; i < std::min<int64_t>(c.channels, 3); ++i) {
      const std::vector<double> dense = dense_kernel(x, i);
      // Recovering C divides by 1 - Abar^length, which is small for slow modes.
      const double condition = 1e3 * largest(dense);
      for (int64_t l = 0; l < c.length; ++l) {
        worst.compare(c.length * 1000 + l, dense[l], x.K[i * c.length + l],
                      Tolerance::sum<double>(c.modes * c.length, condition));
      }
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(DplrKernel, BackendsAgree) {
  Worst worst("K");
  for (const Case& c : kCases) {
    Operands<float> fast(c);
    Operands<double> slow(c);
    Workspace workspace = fast.workspace();
    Workspace none(0);
    dplr_kernel(fast.forward(), workspace);
    dplr_kernel(slow.forward(), none);
    for (int64_t i = 0; i < c.channels; ++i) {
      const auto begin = slow.K.begin() + i * c.length;
      const double size = largest(std::vector<double>(begin, begin + c.length));
      for (int64_t l = 0; l < c.length; ++l) {
        const int64_t at = i * c.length + l;
        worst.compare(c.length * 10000 + at, slow.K[at], fast.K[at],
                      Tolerance::sum<float>(c.modes, size));
      }
    }
  }
  EXPECT_TRUE(worst.ok());
}

/// Compares gradients of one parameter, relative to the largest of its kind.
template <typename Number, typename Other>
void compare(Worst& worst, const std::vector<Number>& expected, const std::vector<Other>& got,
             int64_t terms) {
  for (size_t i = 0; i < got.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i],
                  Tolerance::sum<float>(terms, largest(expected)));
  }
}

/// dt scales Lambda and all products; what these contribute to its gradient may cancel.
double magnitude_of_ddt(const Operands<double>& x, int64_t channel) {
  const auto [length, channels, modes, rank] = x.shape;
  double sum = 0;
  for (int64_t n = 0; n < modes; ++n) {
    const int64_t at = channel * modes + n;
    sum += std::abs(x.Lambda[at] * x.dLambda[at]) + std::abs(x.B[at] * x.dB[at]) +
           std::abs(x.Ct[at] * x.dCt[at]);
    for (int64_t r = 0; r < rank; ++r) {
      const int64_t in_P = (r * channels + channel) * modes + n;
      sum += std::abs(x.P[in_P] * x.dP[in_P]);
    }
  }
  return sum / x.dt[channel];
}

TEST(DplrKernel, GradientsOfBackendsAgree) {
  for (const Case& c : kCases) {
    Operands<float> fast(c);
    Operands<double> slow(c);
    Workspace workspace = fast.workspace();
    Workspace none(0);
    dplr_kernel_grad(fast.backward(), workspace);
    dplr_kernel_grad(slow.backward(), none);
    Worst of_Lambda("dLambda"), of_P("dP"), of_B("dB"), of_Ct("dCt"), of_dt("ddt");
    // The low-rank correction takes away most of what the diagonal part contributes: sums cancel
    // to about an eighth.
    constexpr int64_t kCancellation = 8;
    const int64_t terms = (c.modes + c.length) * (c.rank > 0 ? kCancellation * kCancellation : 1);
    compare(of_Lambda, slow.dLambda, fast.dLambda, terms);
    compare(of_B, slow.dB, fast.dB, terms);
    compare(of_Ct, slow.dCt, fast.dCt, terms);
    for (int64_t i = 0; i < c.channels; ++i) {
      of_dt.compare(i, slow.ddt[i], fast.ddt[i],
                    Tolerance::sum<float>(terms, magnitude_of_ddt(slow, i)));
    }
    EXPECT_TRUE(of_Lambda.ok() && of_B.ok() && of_Ct.ok() && of_dt.ok())
        << of_Lambda.ok().message() << "\n"
        << of_B.ok().message() << "\n"
        << of_Ct.ok().message() << "\n"
        << of_dt.ok().message() << "\nlength " << c.length << " rank " << c.rank;
    if (c.rank == 0) continue;
    compare(of_P, slow.dP, fast.dP, terms);
    EXPECT_TRUE(of_P.ok()) << "length " << c.length << " rank " << c.rank;
  }
}

/// d loss / d operand by central differences, against the gradient.
template <typename Loss>
void check_differences(double& operand, double gradient, double scale, const Loss& loss) {
  const double step = 1e-5 * std::max(std::abs(operand), 1e-2);
  const double kept = operand;
  operand = kept + step;
  const double above = loss();
  operand = kept - step;
  const double below = loss();
  operand = kept;
  // Truncation of order step^2 and rounding of order eps / step.
  EXPECT_NEAR((above - below) / (2 * step), gradient, 1e-6 * (scale + std::abs(above)));
}

TEST(DplrKernel, ReferenceGradientMatchesFiniteDifference) {
  for (const Case& c : {Case{9, 2, 3, 1}, Case{8, 1, 2, 2}, Case{6, 1, 3, 0}, Case{1, 1, 2, 1}}) {
    Operands<double> x(c);
    dplr_kernel_grad_ref(x.backward());
    const auto loss = [&] {
      dplr_kernel_ref(x.forward());
      double sum = 0;
      for (size_t i = 0; i < x.K.size(); ++i) sum += x.dK[i] * x.K[i];
      return sum;
    };
    const auto check = [&](std::vector<std::complex<double>>& operand,
                           const std::vector<std::complex<double>>& gradient) {
      for (size_t i = 0; i < operand.size(); ++i) {
        double* parts = reinterpret_cast<double*>(&operand[i]);
        check_differences(parts[0], gradient[i].real(), largest(gradient), loss);
        check_differences(parts[1], gradient[i].imag(), largest(gradient), loss);
      }
    };
    check(x.Lambda, x.dLambda);
    check(x.P, x.dP);
    check(x.B, x.dB);
    check(x.Ct, x.dCt);
    for (size_t i = 0; i < x.dt.size(); ++i) {
      check_differences(x.dt[i], x.ddt[i], largest(x.ddt), loss);
    }
  }
}

TEST(DplrKernel, ResultDoesNotDependOnThreads) {
  const Case c{96, 70, 5, 1};
  Operands<float> many(c), one(c);
  Workspace workspace = many.workspace();
  dplr_kernel(many.forward(), workspace);
  dplr_kernel_grad(many.backward(), workspace);
  // Room for the spectra and one worker only.
  const size_t all = dplr_kernel_workspace_bytes(c.length, c.channels, c.modes, c.rank);
  const size_t two = dplr_kernel_workspace_bytes(c.length, 2 * c.channels, c.modes, c.rank);
  const size_t spectra = two - all;
  Workspace narrow(spectra + (all - spectra) / static_cast<size_t>(thread_count()));
  dplr_kernel(one.forward(), narrow);
  dplr_kernel_grad(one.backward(), narrow);
  EXPECT_EQ(many.K, one.K);
  EXPECT_EQ(many.dLambda, one.dLambda);
  EXPECT_EQ(many.dP, one.dP);
  EXPECT_EQ(many.ddt, one.ddt);
}

TEST(DplrKernel, ChannelAloneEqualsChannelAmongOthers) {
  const Case c{60, 50, 4, 1};
  Operands<float> x(c);
  Workspace workspace = x.workspace();
  dplr_kernel(x.forward(), workspace);
  std::vector<float> alone = poison<float>(c.length);
  DplrKernelArgs<float> args = x.forward();
  constexpr int64_t kChannel = 37;
  args.Lambda = args.Lambda.slice(0, kChannel, 1);
  args.P = args.P.slice(1, kChannel, 1);
  args.B = args.B.slice(0, kChannel, 1);
  args.Ct = args.Ct.slice(0, kChannel, 1);
  args.dt = args.dt.slice(0, kChannel, 1);
  args.K = {alone.data(), {1, c.length}};
  dplr_kernel(args, workspace);
  // The transform carries two channels at once: equal up to rounding only.
  Worst worst("K");
  for (int64_t l = 0; l < c.length; ++l) {
    worst.compare(l, x.K[kChannel * c.length + l], alone[l],
                  Tolerance::sum<float>(c.modes, largest(x.K)));
  }
  EXPECT_TRUE(worst.ok());
}

TEST(DplrKernel, RejectsBadShapes) {
  Operands<float> x({8, 2, 3, 1});
  Workspace workspace = x.workspace();
  DplrKernelArgs<float> args = x.forward();
  args.dt = args.dt.slice(0, 0, 1);
  EXPECT_THROW(dplr_kernel(args, workspace), InvalidArgument);
  args = x.forward();
  args.B = args.B.slice(1, 0, 2);
  EXPECT_THROW(dplr_kernel(args, workspace), InvalidArgument);
  args = x.forward();
  args.plan = nullptr;
  EXPECT_THROW(dplr_kernel(args, workspace), InvalidArgument);
  const DplrKernelPlan other(9);
  args.plan = &other;
  EXPECT_THROW(dplr_kernel(args, workspace), InvalidArgument);
  EXPECT_THROW(DplrKernelPlan(0), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
