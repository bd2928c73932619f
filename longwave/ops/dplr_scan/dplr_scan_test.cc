// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/dplr_scan/dplr_scan.h"

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
#include "longwave/ops/dplr_kernel/dplr_kernel.h"
#include "longwave/theory/dplr.h"
#include "longwave/theory/normal_form.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

struct Case {
  int64_t batch, time, channels, modes, rank;
};

constexpr Case kCases[] = {
    {1, 1, 1, 1, 1},   {1, 1, 3, 16, 1},  {2, 1, 5, 17, 2},  {3, 2, 7, 5, 1},     {2, 9, 4, 33, 2},
    {1, 16, 4, 3, 1},  {2, 17, 16, 4, 1}, {3, 33, 17, 6, 2}, {1, 300, 40, 32, 1}, {4, 64, 5, 9, 2},
    {2, 100, 2, 8, 1}, {0, 20, 8, 2, 1},  {2, 0, 8, 2, 1},   {2, 20, 0, 2, 1},
};

/// All operands of a case in type T, from one set of float32 numbers.
template <typename T>
struct Operands {
  using Complex = std::complex<T>;

  explicit Operands(const Case& c) : shape(c) {
    Random random(13, static_cast<uint64_t>(c.time));
    const theory::NormalForm form =
        theory::normal_form(c.rank == 2 ? theory::Hippo::kLegT : theory::Hippo::kLegS, 2 * c.modes);
    const auto number = [](std::complex<double> x) { return Complex(std::complex<float>(x)); };
    const auto normal = [&] { return static_cast<float>(random.normal()); };
    P.resize(c.rank * c.channels * c.modes);
    for (int64_t i = 0; i < c.channels; ++i) {
      dt.push_back(static_cast<float>(std::exp(random.uniform(std::log(1e-3), std::log(1e-1)))));
      d.push_back(normal());
      for (int64_t n = 0; n < c.modes; ++n) {
        Lambda.push_back(number(form.Lambda(n)));
        const float re = normal();
        C.push_back(number({re, normal()}));
        B.push_back(number(form.B(n) + 0.1 * static_cast<double>(normal())));
        for (int64_t r = 0; r < c.rank; ++r) {
          P[(r * c.channels + i) * c.modes + n] = number(form.P(n, r));
        }
      }
    }
    for (int64_t i = 0; i < c.batch * c.channels * c.modes; ++i) {
      const float re = normal();
      x.push_back(number({re, normal()}));
    }
    for (int64_t i = 0; i < c.batch * c.time * c.channels; ++i) u.push_back(normal());
    y.assign(u.size(), std::numeric_limits<T>::quiet_NaN());
  }

  DplrSystems<T> systems() const {
    const std::array<int64_t, 2> extents{shape.channels, shape.modes};
    return {.Lambda = {Lambda.data(), extents},
            .P = {P.data(), {shape.rank, shape.channels, shape.modes}},
            .B = {B.data(), extents},
            .C = {C.data(), extents},
            .dt = {dt.data(), {shape.channels}},
            .d = {d.data(), {shape.channels}}};
  }
  DplrScanArgs<T> args() {
    return {.u = {u.data(), {shape.batch, shape.time, shape.channels}},
            .x = {x.data(), {shape.batch, shape.channels, shape.modes}},
            .y = {y.data(), {shape.batch, shape.time, shape.channels}},
            .systems = systems()};
  }

  Case shape;
  std::vector<Complex> Lambda, P, B, C, x;
  std::vector<T> dt, d, u, y;
};

/// Runs the float operator.
void run(DplrScanArgs<float> args, const DplrScanFactors& factors) {
  Workspace workspace(dplr_scan_workspace_bytes(factors.modes()));
  args.factors = &factors;
  dplr_scan(args, workspace);
}

template <typename Number>
double largest(const std::vector<Number>& x) {
  double result = 0;
  for (const Number& value : x) result = std::max(result, static_cast<double>(std::abs(value)));
  return result;
}

/// Size of the states of a run and of the terms that its outputs sum.
template <typename T>
struct Magnitude {
  Magnitude(const Operands<T>& before, const Operands<T>& after)
      : x(std::max(largest(before.x), largest(after.x))),
        y(2 * largest(after.C) * x + largest(after.d) * largest(after.u)) {}
  double x, y;
};

/// Rounding of the state is carried along by a system that is contractive in the norm of x, and
/// a sample sums the modes.
Tolerance bound(const Case& c, double magnitude) {
  return Tolerance::sum<float>((c.time + 1) * c.modes, magnitude);
}

theory::Dplr theory_system(const Operands<double>& x, int64_t channel) {
  const auto [batch, time, channels, modes, rank] = x.shape;
  theory::Dplr system{Eigen::VectorXcd(modes), Eigen::MatrixXcd(modes, rank),
                      Eigen::VectorXcd(modes), Eigen::RowVectorXcd(modes)};
  for (int64_t n = 0; n < modes; ++n) {
    const int64_t at = channel * modes + n;
    system.Lambda(n) = x.Lambda[at];
    system.B(n) = x.B[at];
    system.C(n) = x.C[at];
    for (int64_t r = 0; r < rank; ++r) {
      system.P(n, r) = x.P[(r * channels + channel) * modes + n];
    }
  }
  return system;
}

TEST(DplrScan, ReferenceEqualsTheDenseSystem) {
  Worst of_y("y"), of_x("x");
  for (const Case& c : kCases) {
    if (c.time > 100) continue;
    Operands<double> x(c);
    const Operands<double> before = x;
    dplr_scan_ref(x.args());
    for (int64_t b = 0; b < c.batch; ++b) {
      for (int64_t i = 0; i < c.channels; ++i) {
        const theory::DiscreteSystem system = theory::bilinear_system(theory_system(x, i), x.dt[i]);
        Eigen::VectorXcd state(2 * c.modes);
        for (int64_t n = 0; n < c.modes; ++n) {
          state(n) = before.x[(b * c.channels + i) * c.modes + n];
          state(c.modes + n) = std::conj(state(n));
        }
        for (int64_t t = 0; t < c.time; ++t) {
          const int64_t at = (b * c.time + t) * c.channels + i;
          state = (system.A * state + system.B * x.u[at]).eval();
          const double y = (system.C * state)(0).real() + x.d[i] * x.u[at];
          of_y.compare(at, y, x.y[at], Tolerance::sum<double>(c.modes * c.time, 100));
        }
        for (int64_t n = 0; n < c.modes; ++n) {
          const int64_t at = (b * c.channels + i) * c.modes + n;
          of_x.compare(at, state(n), x.x[at], Tolerance::sum<double>(c.modes * c.time, 100));
        }
      }
    }
  }
  EXPECT_TRUE(of_y.ok());
  EXPECT_TRUE(of_x.ok());
}

TEST(DplrScan, BackendsAgree) {
  Worst of_y("y"), of_x("x");
  for (const Case& c : kCases) {
    Operands<float> fast(c);
    Operands<double> slow(c);
    const Operands<double> before = slow;
    run(fast.args(), DplrScanFactors(fast.systems()));
    Workspace none(0);
    dplr_scan(slow.args(), none);
    const Magnitude<double> magnitude(before, slow);
    for (size_t i = 0; i < fast.y.size(); ++i) {
      of_y.compare(static_cast<int64_t>(i), slow.y[i], fast.y[i], bound(c, magnitude.y));
    }
    for (size_t i = 0; i < fast.x.size(); ++i) {
      of_x.compare(static_cast<int64_t>(i), slow.x[i], fast.x[i], bound(c, magnitude.x));
    }
  }
  EXPECT_TRUE(of_y.ok());
  EXPECT_TRUE(of_x.ok());
}

TEST(DplrScan, StepEqualsPrefillForEverySplit) {
  for (const Case& c : {Case{3, 40, 19, 7, 1}, Case{2, 40, 5, 20, 2}}) {
    Operands<float> whole(c);
    const DplrScanFactors factors(whole.systems());
    run(whole.args(), factors);
    for (int64_t split : {0, 1, 3, 17, 39, 40}) {
      Operands<float> parts(c);
      DplrScanArgs<float> args = parts.args();
      args.u = parts.args().u.slice(1, 0, split);
      args.y = parts.args().y.slice(1, 0, split);
      run(args, factors);
      for (int64_t t = split; t < c.time; ++t) {
        args.u = parts.args().u.slice(1, t, 1);
        args.y = parts.args().y.slice(1, t, 1);
        run(args, factors);
      }
      const Magnitude<float> magnitude(Operands<float>(c), whole);
      Worst worst("split");
      for (size_t i = 0; i < whole.y.size(); ++i) {
        worst.compare(static_cast<int64_t>(i), whole.y[i], parts.y[i], bound(c, magnitude.y));
      }
      for (size_t i = 0; i < whole.x.size(); ++i) {
        worst.compare(static_cast<int64_t>(i), whole.x[i], parts.x[i], bound(c, magnitude.x));
      }
      EXPECT_TRUE(worst.ok()) << "split at " << split;
    }
  }
}

TEST(DplrScan, ImpulseResponseIsTheKernel) {
  const Case c{1, 96, 6, 8, 1};
  Operands<double> x(c);
  std::fill(x.x.begin(), x.x.end(), 0);
  std::fill(x.u.begin(), x.u.end(), 0);
  std::fill_n(x.u.begin(), c.channels, 1);
  std::fill(x.d.begin(), x.d.end(), 0);
  dplr_scan_ref(x.args());
  std::vector<std::complex<double>> Ct;
  for (int64_t i = 0; i < c.channels; ++i) {
    const auto truncated = theory::truncated_output(theory_system(x, i), x.dt[i], c.time);
    Ct.insert(Ct.end(), truncated.begin(), truncated.end());
  }
  std::vector<double> K(c.channels * c.time);
  dplr_kernel_ref(DplrKernelArgs<double>{.Lambda = x.systems().Lambda,
                                         .P = x.systems().P,
                                         .B = x.systems().B,
                                         .Ct = {Ct.data(), {c.channels, c.modes}},
                                         .dt = x.systems().dt,
                                         .K = {K.data(), {c.channels, c.time}}});
  Worst worst("K");
  for (int64_t i = 0; i < c.channels; ++i) {
    for (int64_t l = 0; l < c.time; ++l) {
      worst.compare(i * c.time + l, K[i * c.time + l], x.y[l * c.channels + i],
                    Tolerance::sum<double>(c.time * c.modes, 100));
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST(DplrScan, LaterInputsChangeNothingBefore) {
  for (const Case& c : {Case{1, 40, 20, 6, 1}, Case{1, 9, 2, 6, 2}}) {
    Operands<float> one(c), other(c);
    const DplrScanFactors factors(one.systems());
    const int64_t from = c.time / 2;
    for (size_t i = from * c.channels; i < other.u.size(); ++i) other.u[i] = 5;
    run(one.args(), factors);
    run(other.args(), factors);
    EXPECT_TRUE(std::equal(one.y.begin(), one.y.begin() + from * c.channels, other.y.begin()));
  }
}

TEST(DplrScan, TakesAnyStrides) {
  for (const Case& c : {Case{2, 24, 18, 20, 1}, Case{2, 3, 18, 20, 2}}) {
    Operands<float> plain(c), turned(c);
    const DplrScanFactors factors(plain.systems());
    run(plain.args(), factors);
    // Time and modes adjacent to nothing: the last two extents change places in memory.
    const auto transposed = [](auto& memory, const auto& view) {
      const auto [first, second, third] = view.extents();
      auto result = view;
      result = {memory.data(), {first, second, third}, {second * third, 1, second}};
      return result;
    };
    DplrScanArgs<float> args = turned.args();
    std::vector<float> u(turned.u.size()), y(turned.y.size());
    std::vector<std::complex<float>> x(turned.x.size());
    const View<float, 3> u_turned(u.data(), args.u.extents(), {c.time * c.channels, 1, c.time});
    args.x = transposed(x, args.x);
    args.y = transposed(y, args.y);
    for (int64_t b = 0; b < c.batch; ++b) {
      for (int64_t i = 0; i < c.channels; ++i) {
        for (int64_t t = 0; t < c.time; ++t) u_turned(b, t, i) = args.u(b, t, i);
        for (int64_t n = 0; n < c.modes; ++n) args.x(b, i, n) = turned.args().x(b, i, n);
      }
    }
    args.u = u_turned;
    run(args, factors);
    for (int64_t b = 0; b < c.batch; ++b) {
      for (int64_t i = 0; i < c.channels; ++i) {
        for (int64_t t = 0; t < c.time; ++t) {
          ASSERT_EQ(args.y(b, t, i), plain.args().y(b, t, i));
        }
        for (int64_t n = 0; n < c.modes; ++n) {
          ASSERT_EQ(args.x(b, i, n), plain.args().x(b, i, n));
        }
      }
    }
  }
}

TEST(DplrScan, ResultDoesNotDependOnBatchOrThreads) {
  const Case c{3, 30, 40, 5, 1};
  Operands<float> all(c), narrow(c);
  const DplrScanFactors factors(all.systems());
  run(all.args(), factors);
  Workspace one_worker(dplr_scan_workspace_bytes(c.modes) / static_cast<size_t>(thread_count()));
  DplrScanArgs<float> args = narrow.args();
  args.factors = &factors;
  dplr_scan(args, one_worker);
  EXPECT_EQ(all.y, narrow.y);
  EXPECT_EQ(all.x, narrow.x);
  Operands<float> alone(c);
  args = alone.args();
  args.u = args.u.slice(0, 1, 1);
  args.x = args.x.slice(0, 1, 1);
  args.y = args.y.slice(0, 1, 1);
  run(args, factors);
  for (int64_t t = 0; t < c.time; ++t) {
    for (int64_t i = 0; i < c.channels; ++i) EXPECT_EQ(args.y(0, t, i), all.args().y(1, t, i));
  }
}

TEST(DplrScan, RejectsBadShapes) {
  Operands<float> x({2, 4, 3, 2, 1});
  const DplrScanFactors factors(x.systems());
  DplrScanArgs<float> args = x.args();
  Workspace workspace(dplr_scan_workspace_bytes(2));
  EXPECT_THROW(dplr_scan(args, workspace), InvalidArgument);
  args.u = args.u.slice(2, 0, 2);
  EXPECT_THROW(run(args, factors), InvalidArgument);
  args = x.args();
  args.x = args.x.slice(2, 0, 1);
  EXPECT_THROW(run(args, factors), InvalidArgument);
  DplrSystems<float> systems = x.systems();
  systems.dt = systems.dt.slice(0, 0, 2);
  EXPECT_THROW(DplrScanFactors{systems}, InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
