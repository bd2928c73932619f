// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/vandermonde/vandermonde.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

struct Case {
  int64_t channels, modes, length;
};

constexpr Case kCases[] = {{1, 1, 1},   {2, 3, 0},  {0, 3, 9},    {3, 0, 9},     {2, 5, 17},
                           {5, 32, 64}, {3, 7, 65}, {1, 2, 1000}, {4, 33, 4096}, {2, 4, 20000}};

/// Poles of modulus 0.9 to 1, one of them 0, in type T from one set of float32 numbers.
template <typename T>
struct Operands {
  using Complex = std::complex<T>;

  explicit Operands(const Case& s) : shape(s) {
    Random random(17, static_cast<uint64_t>(s.length));
    const auto number = [](std::complex<double> x) { return Complex(std::complex<float>(x)); };
    for (int64_t i = 0; i < s.channels * s.modes; ++i) {
      const double radius = i == 1 ? 0 : 1 - 0.1 * std::pow(random.uniform(), 4);
      a.push_back(number(std::polar(radius, random.uniform(-3, 3))));
      const double re = random.normal();
      c.push_back(number({re, random.normal()}));
    }
    for (int64_t i = 0; i < s.channels * s.length; ++i) {
      dK.push_back(static_cast<float>(random.normal()));
    }
    K.assign(dK.size(), std::numeric_limits<T>::quiet_NaN());
    da.assign(a.size(), std::numeric_limits<T>::quiet_NaN());
    dc = da;
  }

  VandermondeArgs<T> forward() { return {matrix(a), matrix(c), row(K)}; }
  VandermondeGradArgs<T> backward() {
    return {matrix(a), matrix(c), row(dK), matrix(da), matrix(dc)};
  }

  Case shape;
  std::vector<Complex> a, c, da, dc;
  std::vector<T> K, dK;

 private:
  View<Complex, 2> matrix(std::vector<Complex>& x) {
    return {x.data(), {shape.channels, shape.modes}};
  }
  View<T, 2> row(std::vector<T>& x) { return {x.data(), {shape.channels, shape.length}}; }
};

template <typename Number>
double largest(const std::vector<Number>& x) {
  double result = 0;
  for (const Number& value : x) result = std::max(result, static_cast<double>(std::abs(value)));
  return result;
}

TEST(Vandermonde, BackendsAgree) {
  Worst worst("K");
  for (const Case& s : kCases) {
    Operands<float> fast(s);
    Operands<double> slow(s);
    Workspace workspace(vandermonde_workspace_bytes(s.length));
    vandermonde(fast.forward(), workspace);
    vandermonde(slow.forward(), workspace);
    for (size_t i = 0; i < slow.K.size(); ++i) {
      worst.compare(static_cast<int64_t>(i), slow.K[i], fast.K[i],
                    Tolerance::sum<float>(s.modes, largest(slow.c)));
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(Vandermonde, GradientsOfBackendsAgree) {
  Worst of_a("da"), of_c("dc");
  for (const Case& s : kCases) {
    Operands<float> fast(s);
    Operands<double> slow(s);
    Workspace workspace(vandermonde_workspace_bytes(s.length));
    vandermonde_grad(fast.backward(), workspace);
    vandermonde_grad(slow.backward(), workspace);
    const double size = largest(slow.dK), length = static_cast<double>(s.length);
    for (size_t i = 0; i < slow.a.size(); ++i) {
      const auto at = static_cast<int64_t>(i);
      of_c.compare(at, slow.dc[i], fast.dc[i], Tolerance::sum<float>(s.length, size));
      // Terms of the derivative grow with l.
      of_a.compare(at, slow.da[i], fast.da[i],
                   Tolerance::sum<float>(s.length, size * length * std::abs(slow.c[i])));
    }
  }
  EXPECT_TRUE(of_a.ok());
  EXPECT_TRUE(of_c.ok());
}

TEST(Vandermonde, ReferenceGradientMatchesFiniteDifference) {
  constexpr double kStep = 1e-5;
  Operands<double> x({2, 3, 20});
  vandermonde_grad_ref(x.backward());
  const auto loss = [&] {
    vandermonde_ref(x.forward());
    double sum = 0;
    for (size_t i = 0; i < x.K.size(); ++i) sum += x.dK[i] * x.K[i];
    return sum;
  };
  const auto check = [&](std::vector<std::complex<double>>& operand,
                         const std::vector<std::complex<double>>& gradient) {
    for (size_t i = 0; i < operand.size(); ++i) {
      for (const std::complex<double> direction : {std::complex<double>(1, 0), {0, 1}}) {
        const std::complex<double> kept = operand[i];
        operand[i] = kept + kStep * direction;
        const double above = loss();
        operand[i] = kept - kStep * direction;
        const double below = loss();
        operand[i] = kept;
        // Truncation of order step^2 with third derivatives up to length^3.
        EXPECT_NEAR((above - below) / (2 * kStep), (std::conj(direction) * gradient[i]).real(),
                    kStep * kStep * 8e3 * largest(x.c) * largest(x.dK));
      }
    }
  };
  check(x.a, x.da);
  check(x.c, x.dc);
}

TEST(Vandermonde, TakesAnyStridesAndThreads) {
  const Case s{6, 5, 100};
  Operands<float> plain(s), turned(s);
  Workspace workspace(vandermonde_workspace_bytes(s.length));
  vandermonde(plain.forward(), workspace);
  vandermonde_grad(plain.backward(), workspace);
  Workspace one_worker(vandermonde_workspace_bytes(s.length) / static_cast<size_t>(thread_count()));
  std::vector<float> K(turned.K.size()), dK(turned.K.size());
  VandermondeArgs<float> args = turned.forward();
  args.K = {K.data(), {s.channels, s.length}, {1, s.channels}};
  vandermonde(args, one_worker);
  VandermondeGradArgs<float> grad = turned.backward();
  const View<float, 2> dK_turned(dK.data(), {s.channels, s.length}, {1, s.channels});
  for (int64_t i = 0; i < s.channels; ++i) {
    for (int64_t l = 0; l < s.length; ++l) {
      EXPECT_EQ(args.K(i, l), plain.forward().K(i, l));
      dK_turned(i, l) = grad.dK(i, l);
    }
  }
  grad.dK = dK_turned;
  vandermonde_grad(grad, one_worker);
  EXPECT_EQ(turned.da, plain.da);
  EXPECT_EQ(turned.dc, plain.dc);
}

TEST(Vandermonde, RejectsBadShapes) {
  Operands<float> x({2, 3, 8});
  Workspace workspace(vandermonde_workspace_bytes(8));
  VandermondeArgs<float> args = x.forward();
  args.c = args.c.slice(1, 0, 2);
  EXPECT_THROW(vandermonde(args, workspace), InvalidArgument);
  args = x.forward();
  args.K = args.K.slice(0, 0, 1);
  EXPECT_THROW(vandermonde(args, workspace), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
