// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/long_conv/fft.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/base/tensor.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;
using Complex = std::complex<double>;

constexpr int64_t kSizes[] = {1,  2,  3,  4,  5,  6,   7,   8,   9,   12,  13,  16,   24,  30,
                              32, 48, 64, 77, 96, 128, 192, 256, 384, 512, 768, 1000, 1024};

/// One transform of `fft_lanes()` random sequences.
class Batch {
 public:
  Batch(int64_t size, double root, uint64_t seed)
      : plan_(size, root),
        lanes_(fft_lanes()),
        rows_(DType::kFloat32, {size * 2 * lanes_}),
        scratch_(DType::kFloat32, {std::max<int64_t>(plan_.scratch_rows(), 1) * 2 * lanes_}) {
    Random random(seed);
    for (float& x : rows_.elements<float>()) x = static_cast<float>(random.normal());
    for (float& x : scratch_.elements<float>()) x = std::nanf("");
  }

  const FftPlan& plan() const { return plan_; }
  int64_t lanes() const { return lanes_; }
  void forward() { fft_forward(plan_, data(), scratch_.elements<float>().data()); }
  void inverse() { fft_inverse(plan_, data(), scratch_.elements<float>().data()); }
  float* data() { return rows_.elements<float>().data(); }

  std::vector<Complex> lane(int64_t lane) {
    std::vector<Complex> result;
    for (int64_t j = 0; j < plan_.size(); ++j) {
      const float* row = data() + j * 2 * lanes_;
      result.emplace_back(row[lane], row[lane + lanes_]);
    }
    return result;
  }

 private:
  FftPlan plan_;
  int64_t lanes_;
  Tensor rows_;
  Tensor scratch_;
};

double norm_of(const std::vector<Complex>& x) {
  double sum = 0;
  for (Complex value : x) sum += std::norm(value);
  return std::sqrt(sum);
}

/// Each of the log2(size) levels rounds numbers of the size of the result.
Tolerance bound(int64_t size, double norm) {
  const double levels = std::log2(static_cast<double>(size)) + 1;
  return Tolerance::sum<float>(static_cast<int64_t>(levels * levels), norm);
}

class FftAtRoot : public ::testing::TestWithParam<double> {};

TEST_P(FftAtRoot, EqualsTheSumInDouble) {
  Worst worst("spectrum");
  for (int64_t size : kSizes) {
    Batch batch(size, GetParam(), static_cast<uint64_t>(size));
    const int64_t lane = size % batch.lanes();
    const std::vector<Complex> z = batch.lane(lane);
    batch.forward();
    const std::vector<Complex> got = batch.lane(lane);
    for (int64_t p = 0; p < size; ++p) {
      Complex sum = 0;
      for (int64_t j = 0; j < size; ++j) {
        const double turns = batch.plan().turn(p) * static_cast<double>(j);
        sum += z[j] * std::polar(1.0, 2 * std::numbers::pi * (turns - std::floor(turns)));
      }
      worst.compare(size * 10000 + p, sum, got[p], bound(size, norm_of(z)));
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST_P(FftAtRoot, InverseGivesBackSizeTimesTheInput) {
  Worst worst("round trip");
  for (int64_t size : {1, 2, 3, 8, 60, 128, 3072, 4096, 16384}) {
    Batch batch(size, GetParam(), static_cast<uint64_t>(size) + 100);
    const std::vector<Complex> z = batch.lane(0);
    batch.forward();
    batch.inverse();
    const std::vector<Complex> got = batch.lane(0);
    for (int64_t j = 0; j < size; ++j) {
      const double n = static_cast<double>(size);
      worst.compare(size * 100000 + j, z[j], got[j] / n, bound(size, norm_of(z) / std::sqrt(n)));
    }
  }
  EXPECT_TRUE(worst.ok());
}

TEST_P(FftAtRoot, KeepsEnergy) {
  for (int64_t size : {1, 4, 15, 256, 4096, 6144}) {
    Batch batch(size, GetParam(), static_cast<uint64_t>(size) + 200);
    const double before = norm_of(batch.lane(1 % batch.lanes()));
    batch.forward();
    const double after = norm_of(batch.lane(1 % batch.lanes()));
    EXPECT_NEAR(after / std::sqrt(static_cast<double>(size)), before, bound(size, before).bound);
  }
}

TEST_P(FftAtRoot, IsLinear) {
  constexpr int64_t kSize = 192;
  Batch a(kSize, GetParam(), 1), b(kSize, GetParam(), 2), sum(kSize, GetParam(), 3);
  for (int64_t i = 0; i < kSize * 2 * a.lanes(); ++i) {
    sum.data()[i] = a.data()[i] - 3 * b.data()[i];
  }
  const double norm = norm_of(sum.lane(0)) + 3 * norm_of(b.lane(0)) + norm_of(a.lane(0));
  a.forward();
  b.forward();
  sum.forward();
  Worst worst("spectrum of a combination");
  for (int64_t p = 0; p < kSize; ++p) {
    worst.compare(p, a.lane(0)[p] - 3.0 * b.lane(0)[p], sum.lane(0)[p], bound(kSize, norm));
  }
  EXPECT_TRUE(worst.ok());
}

INSTANTIATE_TEST_SUITE_P(Roots, FftAtRoot, ::testing::Values(0.0, 0.25, 0.7));

TEST(FftPlan, TurnsAreTheRootsEachOnce) {
  for (int64_t size : kSizes) {
    const FftPlan plan(size, 0.25);
    std::vector<bool> seen(static_cast<size_t>(size));
    for (int64_t p = 0; p < size; ++p) {
      const double k = plan.turn(p) * static_cast<double>(size) - 0.25;
      EXPECT_NEAR(k, std::round(k), 1e-9);
      seen[static_cast<size_t>(std::lround(k))] = true;
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), false), 0) << size;
  }
}

TEST(FftPlan, GoodSizesAreNextTwosAndThrees) {
  EXPECT_EQ(FftPlan::good_size(1), 1);
  EXPECT_EQ(FftPlan::good_size(3), 3);
  EXPECT_EQ(FftPlan::good_size(5), 6);
  EXPECT_EQ(FftPlan::good_size(784), 1024);
  EXPECT_EQ(FftPlan::good_size(700), 768);
  EXPECT_EQ(FftPlan::good_size(4096), 4096);
}

TEST(FftPlan, RejectsBadSizes) {
  EXPECT_THROW(FftPlan(0), InvalidArgument);
  EXPECT_THROW(FftPlan(4, 1.0), InvalidArgument);
  EXPECT_THROW(FftPlan(4, -0.1), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
