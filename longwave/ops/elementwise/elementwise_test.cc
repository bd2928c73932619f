// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/elementwise/elementwise.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::Worst;

constexpr double kEps = std::numeric_limits<float>::epsilon();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr Activation kAll[] = {Activation::kIdentity, Activation::kExp, Activation::kSigmoid,
                               Activation::kSilu, Activation::kGelu};

/// Rounding of x inside f, of the exponential and of the few operations around it: f is evaluated
/// at x (1 + 4 eps) at worst, within 8 roundings of its terms, each at most 1 + |x|^2 times f.
Tolerance tolerance(Activation f, double x) {
  std::vector<double> at = {x}, value(1), slope(1), one = {1};
  activate_ref<double>(f, at, value);
  activate_grad_ref<double>(f, at, one, slope);
  const double scale = std::abs(value[0]) * (1 + x * x) + std::abs(slope[0] * x) + std::abs(x);
  return {8 * kEps * (f == Activation::kExp ? std::abs(value[0]) : scale) +
          std::numeric_limits<float>::min()};
}

std::vector<float> random_row(int64_t count, double deviation, uint64_t seed) {
  Random random(seed);
  std::vector<float> row(count);
  for (float& x : row) x = static_cast<float>(deviation * random.normal());
  return row;
}

TEST(Elementwise, ExponentialErrorStaysWithinItsBound) {
  std::vector<float> x, y;
  // Every 997th float whose exponential is a normal number, of both signs.
  for (uint32_t bits = 0; bits < std::bit_cast<uint32_t>(88.72f); bits += 997) {
    const float magnitude = std::bit_cast<float>(bits);
    x.push_back(magnitude);
    if (magnitude < 87.33f) x.push_back(-magnitude);
  }
  y.assign(x.size(), kNan);
  activate<float>(Activation::kExp, x, y);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = std::exp(static_cast<double>(x[i]));
    const double error = std::abs(y[i] - exact) / exact;
    ASSERT_FALSE(std::isnan(error)) << x[i];
    worst = std::max(worst, error);
  }
  EXPECT_LE(worst, kExpRelativeError);
}

TEST(Elementwise, ExponentialKeepsSpecialValues) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {0, infinity, -infinity, 100, -200, kNan};
  std::vector<float> y(x.size(), kNan);
  activate<float>(Activation::kExp, x, y);
  EXPECT_EQ(y[0], 1);
  EXPECT_EQ(y[1], infinity);
  EXPECT_EQ(y[2], 0);
  EXPECT_EQ(y[3], infinity);
  EXPECT_EQ(y[4], 0);
  EXPECT_TRUE(std::isnan(y[5]));
}

TEST(Elementwise, NanIsNeverSwallowed) {
  for (Activation f : kAll) {
    const std::vector<float> x(3, kNan), one(3, 1);
    std::vector<float> y(3, 0), dx(3, 0);
    activate<float>(f, x, y);
    activate_grad<float>(f, x, one, dx);
    EXPECT_TRUE(std::isnan(y[1]));
    EXPECT_EQ(std::isnan(dx[1]), f != Activation::kIdentity);
  }
}

TEST(Elementwise, BackendsAgree) {
  for (Activation f : kAll) {
    Worst values("value"), slopes("slope");
    for (int64_t count : {0, 1, 3, 16, 17, 31, 1000, 40001}) {
      const std::vector<float> x = random_row(count, 3, 1), dy = random_row(count, 1, 2);
      std::vector<float> y(count, kNan), dx(count, kNan);
      activate<float>(f, x, y);
      activate_grad<float>(f, x, dy, dx);
      const std::vector<double> x64(x.begin(), x.end()), dy64(dy.begin(), dy.end());
      std::vector<double> y64(count), dx64(count);
      activate_ref<double>(f, x64, y64);
      activate_grad_ref<double>(f, x64, dy64, dx64);
      for (int64_t i = 0; i < count; ++i) {
        values.compare(i, y64[i], y[i], tolerance(f, x[i]));
        const double scale = std::abs(dy[i]) * (1 + std::abs(x64[i])) * (1 + x64[i] * x64[i]);
        const double growth = f == Activation::kExp ? std::abs(y64[i]) : 1;
        slopes.compare(i, dx64[i], dx[i], {8 * kEps * scale * growth});
      }
    }
    EXPECT_TRUE(values.ok());
    EXPECT_TRUE(slopes.ok());
  }
}

TEST(Elementwise, GradientMatchesFiniteDifference) {
  constexpr double kStep = 1e-5;
  for (Activation f : kAll) {
    Worst worst("slope");
    for (int i = -40; i <= 40; ++i) {
      const double x = i * 0.1;
      const std::vector<double> around = {x - kStep, x + kStep}, at = {x}, one = {1};
      std::vector<double> values(2), slope(1);
      activate_ref<double>(f, around, values);
      activate_grad_ref<double>(f, at, one, slope);
      // Truncation by the third derivative (below 100 here) and rounding of the difference.
      const double bound = 100 * kStep * kStep + 100 * 2.2e-16 / kStep;
      worst.compare(i, (values[1] - values[0]) / (2 * kStep), slope[0], {bound});
    }
    EXPECT_TRUE(worst.ok());
  }
}

/// Rows with a pitch, as the halves of a doubled projection are; `step` > 1 leaves gaps inside.
View<float, 2> strided(std::vector<float>& data, int64_t rows, int64_t channels, int64_t step) {
  return {data.data(), {rows, channels}, {channels * step + 5, step}};
}

TEST(Elementwise, GatesOfAnyStridesEqualTheReference) {
  for (int64_t step : {1, 2}) {
    for (auto [rows, channels] : {std::pair<int64_t, int64_t>{1, 1}, {5, 7}, {33, 64}, {0, 4}}) {
      const int64_t size = rows * (channels * step + 5) + 1;
      std::vector<float> a = random_row(size, 2, 3), b = random_row(size, 2, 4),
                         c = random_row(size, 1, 5);
      std::vector<float> y(size, kNan), da(size, kNan), db(size, kNan);
      std::vector<float> y_ref(size, kNan), da_ref(size, kNan), db_ref(size, kNan);
      const auto value = strided(a, rows, channels, step), gates = strided(b, rows, channels, step),
                 dy = strided(c, rows, channels, step);
      for (Activation f : {Activation::kSigmoid, Activation::kSilu}) {
        GateArgs<float> args{f, value, gates, strided(y, rows, channels, step)};
        gate(args);
        args.y = strided(y_ref, rows, channels, step);
        gate_ref(args);
        GateGradArgs<float> grad{.f = f,
                                 .value = value,
                                 .gate = gates,
                                 .dy = dy,
                                 .dvalue = strided(da, rows, channels, step),
                                 .dgate = strided(db, rows, channels, step)};
        gate_grad(grad);
        grad.dvalue = strided(da_ref, rows, channels, step);
        grad.dgate = strided(db_ref, rows, channels, step);
        gate_grad_ref(grad);
        for (int64_t i = 0; i < size; ++i) {
          if (std::isnan(y_ref[i])) {
            EXPECT_TRUE(std::isnan(y[i])) << "a gap was written at " << i;
            continue;
          }
          const double scale = (1 + std::abs(a[i])) * (1 + b[i] * b[i]) * (1 + std::abs(c[i]));
          EXPECT_NEAR(y[i], y_ref[i], 16 * kEps * scale);
          EXPECT_NEAR(da[i], da_ref[i], 16 * kEps * scale);
          EXPECT_NEAR(db[i], db_ref[i], 16 * kEps * scale * (1 + std::abs(b[i])));
        }
      }
    }
  }
}

TEST(Elementwise, ResidualTakesAbsentAndBroadcastOperands) {
  const int64_t rows = 6, channels = 19;
  std::vector<float> x = random_row(rows * channels, 1, 1), h = random_row(rows * channels, 1, 2),
                     m = random_row(channels, 1, 3);
  const View<const float, 2> views_x[] = {{}, {x.data(), {rows, channels}}};
  const View<const float, 2> views_m[] = {{}, {m.data(), {rows, channels}, {0, 1}}};
  for (const auto& view_x : views_x) {
    for (const auto& view_m : views_m) {
      std::vector<float> y(rows * channels, kNan);
      residual<float>({view_x, view_m, {h.data(), {rows, channels}}, {y.data(), {rows, channels}}});
      for (int64_t i = 0; i < rows * channels; ++i) {
        const double expected = (view_x.absent() ? 0.0 : x[i]) +
                                (view_m.absent() ? 1.0 : m[i % channels]) * double(h[i]);
        EXPECT_NEAR(y[i], expected, 2 * kEps * (1 + std::abs(expected)));
      }
    }
  }
}

TEST(Elementwise, RejectsBadShapes) {
  std::vector<float> x(6), y(5);
  EXPECT_THROW(activate<float>(Activation::kExp, x, y), InvalidArgument);
  EXPECT_THROW(activate_grad<float>(Activation::kExp, x, y, x), InvalidArgument);
  const View<float, 2> wide(x.data(), {2, 3}), tall(x.data(), {3, 2});
  EXPECT_THROW(gate<float>({Activation::kSigmoid, wide, wide, tall}), InvalidArgument);
  EXPECT_THROW(residual<float>({wide, tall, wide, wide}), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
