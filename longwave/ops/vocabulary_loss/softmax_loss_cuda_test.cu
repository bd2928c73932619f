// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/testing/device_buffer.h"
#include "longwave/ops/vocabulary_loss/softmax_loss_cuda.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;
using testing::DeviceBuffer;

template <typename T>
class SoftmaxLossCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(SoftmaxLossCuda, Types);

template <typename T>
void agree(int64_t rows, int64_t classes, double spread) {
  const std::string what = std::to_string(rows) + " rows of " + std::to_string(classes);
  constexpr float kScale = 0.25f;
  Random random(1, static_cast<uint64_t>(rows * 1000 + classes));
  std::vector<double> scores, losses(rows), slopes(rows * classes);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < rows * classes; ++i) {
    const auto score = static_cast<float>(spread * random.normal());
    scores.push_back(static_cast<float>(static_cast<T>(score)));
  }
  for (int64_t r = 0; r < rows; ++r) {
    labels.push_back(r % 5 == 3 ? -1 : static_cast<int64_t>(random.uniform() * classes));
  }
  double largest = 1;
  for (int64_t r = 0; r < rows; ++r) {
    if (labels[r] < 0) continue;
    const double* row = scores.data() + r * classes;
    double sum = 0, most = row[0];
    for (int64_t c = 0; c < classes; ++c) most = std::max(most, row[c]);
    for (int64_t c = 0; c < classes; ++c) sum += std::exp(row[c] - most);
    losses[r] = most + std::log(sum) - row[labels[r]];
    largest = std::max({largest, std::abs(most), losses[r]});
    for (int64_t c = 0; c < classes; ++c) {
      const double share = std::exp(row[c] - most) / sum;
      slopes[r * classes + c] = kScale * (share - (c == labels[r] ? 1 : 0));
    }
  }
  DeviceBuffer<T> scores_on(scores);
  DeviceBuffer<int64_t> labels_on(labels);
  DeviceBuffer<float> scale_on(std::vector<float>{kScale}), losses_on(rows);
  softmax_loss_cuda<T>({.label = {labels_on.data(), {rows}},
                        .scale = {scale_on.data(), {1}},
                        .scores = {scores_on.data(), {rows, classes}},
                        .loss = {losses_on.data(), {rows}}},
                       nullptr);
  Worst loss(what + " loss"), slope(what + " slopes");
  const std::vector<double> got = losses_on.wide(), got_slopes = scores_on.wide();
  // Exponents are as exact as the largest score.
  const Tolerance bound = Tolerance::sum<float>(16 + classes, largest);
  for (int64_t r = 0; r < rows; ++r) loss.compare(r, losses[r], got[r], bound);
  for (int64_t i = 0; i < rows * classes; ++i) {
    Tolerance of_slope = bound;
    of_slope.bound = bound.bound * kScale + testing::rounding<T>(slopes[i]);
    slope.compare(i, slopes[i], got_slopes[i], of_slope);
  }
  EXPECT_TRUE(loss.ok());
  EXPECT_TRUE(slope.ok());
}

TYPED_TEST(SoftmaxLossCuda, AgreesWithTheOracle) {
  for (const int64_t rows : {1, 4, 37}) {
    for (const int64_t classes : {1, 2, 31, 512, 4097, 50288}) {
      for (const double spread : {1.0, 30.0}) agree<TypeParam>(rows, classes, spread);
    }
  }
}

TYPED_TEST(SoftmaxLossCuda, SameArgumentsSameBits) {
  constexpr int64_t kRows = 9, kClasses = 5003;
  Random random(2, 3);
  std::vector<float> scores;
  for (int64_t i = 0; i < kRows * kClasses; ++i)
    scores.push_back(static_cast<float>(random.normal()));
  std::vector<std::vector<double>> found;
  for (int run = 0; run < 2; ++run) {
    DeviceBuffer<TypeParam> scores_on(scores);
    DeviceBuffer<int64_t> labels_on(std::vector<int64_t>(kRows, 5));
    DeviceBuffer<float> scale_on(std::vector<float>{1.0f}), losses_on(kRows);
    softmax_loss_cuda<TypeParam>({.label = {labels_on.data(), {kRows}},
                                  .scale = {scale_on.data(), {1}},
                                  .scores = {scores_on.data(), {kRows, kClasses}},
                                  .loss = {losses_on.data(), {kRows}}},
                                 nullptr);
    found.push_back(losses_on.wide());
    found.push_back(scores_on.wide());
  }
  EXPECT_EQ(found[0], found[2]);
  EXPECT_EQ(found[1], found[3]);
}

}  // namespace
}  // namespace longwave::ops
