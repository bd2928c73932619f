// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/attention/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"

namespace longwave::ops {
namespace {

constexpr int64_t kBatch = 2, kTime = 9, kHeads = 3, kDim = 10;

template <typename T>
std::vector<T> heads() {
  Random random(3);
  std::vector<T> numbers(kBatch * kTime * kHeads * kDim);
  for (T& number : numbers) number = static_cast<float>(random.normal());
  return numbers;
}

template <typename T>
RotaryArgs<T> args_on(std::vector<T>& x, std::vector<T>& y, const std::vector<int64_t>& start) {
  return {.pairs = RotaryPairs::kHalves,
          .direction = RotaryDirection::kForward,
          .base = 100,
          .dims = 8,
          .start = {start.data(), {kBatch}},
          .x = {x.data(), {kBatch, kTime, kHeads, kDim}},
          .y = {y.data(), {kBatch, kTime, kHeads, kDim}}};
}

TEST(Rotary, EqualsTheFormula) {
  const std::vector<int64_t> start{5, 123456789};
  for (const RotaryPairs pairs : {RotaryPairs::kHalves, RotaryPairs::kNeighbours}) {
    std::vector<double> x = heads<double>(), y(x.size());
    RotaryArgs<double> args = args_on(x, y, start);
    args.pairs = pairs;
    rotary(args);
    for (int64_t s = 0; s < kBatch; ++s) {
      for (int64_t t = 0; t < kTime; ++t) {
        for (int64_t i = 0; i < 4; ++i) {
          const int64_t a = pairs == RotaryPairs::kHalves ? i : 2 * i;
          const int64_t b = pairs == RotaryPairs::kHalves ? i + 4 : 2 * i + 1;
          const double angle = static_cast<double>(start[s] + t) * std::pow(100.0, -2.0 * i / 8);
          const double real = args.x(s, t, 1, a), imaginary = args.x(s, t, 1, b);
          const double bound = 1e-15 * 8;
          EXPECT_NEAR(args.y(s, t, 1, a), real * std::cos(angle) - imaginary * std::sin(angle),
                      bound);
          EXPECT_NEAR(args.y(s, t, 1, b), real * std::sin(angle) + imaginary * std::cos(angle),
                      bound);
        }
        EXPECT_EQ(args.y(s, t, 1, 9), args.x(s, t, 1, 9));
      }
    }
  }
}

TEST(Rotary, StepsEqualTheWholeBitwiseFarBeyondFloatsIntegers) {
  const int64_t far = (int64_t{1} << 24) + 1;
  std::vector<float> x = heads<float>(), whole(x.size()), steps(x.size());
  const std::vector<int64_t> start{far, far};
  rotary(args_on(x, whole, start));
  for (int64_t t = 0; t < kTime; ++t) {
    const std::vector<int64_t> now{far + t, far + t};
    RotaryArgs<float> args = args_on(x, steps, now);
    args.x = args.x.slice(1, t, 1);
    args.y = args.y.slice(1, t, 1);
    rotary(args);
  }
  EXPECT_EQ(whole, steps);
  // The fastest pair turns by one radian a step: neighbours differ.
  EXPECT_NE(whole[0], x[0]);
}

TEST(Rotary, InverseUndoesAndScoresDependOnDifferencesAlone) {
  std::vector<double> x = heads<double>(), y(x.size()), back(x.size()), later(x.size());
  const std::vector<int64_t> start{5, 700}, shifted{5 + 1000, 700 + 1000};
  rotary(args_on(x, y, start));
  RotaryArgs<double> inverse = args_on(y, back, start);
  inverse.direction = RotaryDirection::kInverse;
  rotary(inverse);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], back[i], 1e-14);
  const RotaryArgs<double> far = args_on(x, later, shifted), near = args_on(x, y, start);
  rotary(far);
  for (int64_t s = 0; s < kBatch; ++s) {
    double before = 0, after = 0;
    for (int64_t p = 0; p < kDim; ++p) {
      before += near.y(s, 2, 0, p) * near.y(s, 7, 0, p);
      after += far.y(s, 2, 0, p) * far.y(s, 7, 0, p);
    }
    EXPECT_NEAR(before, after, 1e-11);
  }
}

TEST(Rotary, MayRunInPlaceAndWithoutDims) {
  std::vector<float> x = heads<float>(), y(x.size());
  const std::vector<int64_t> start{0, 3};
  rotary(args_on(x, y, start));
  std::vector<float> place = x;
  rotary(args_on(place, place, start));
  EXPECT_EQ(place, y);
  RotaryArgs<float> none = args_on(x, y, start);
  none.dims = 0;
  rotary(none);
  EXPECT_EQ(x, y);
}

TEST(Rotary, RejectsBadShapes) {
  std::vector<float> x = heads<float>(), y(x.size());
  const std::vector<int64_t> start{0, 0};
  for (const int64_t dims : {3, 12, -2}) {
    RotaryArgs<float> args = args_on(x, y, start);
    args.dims = dims;
    EXPECT_THROW(rotary(args), InvalidArgument);
  }
}

}  // namespace
}  // namespace longwave::ops
