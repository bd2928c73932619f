// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/vocabulary_loss/testing/softmax_device.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;
using testing::SoftmaxDevice;

template <typename T>
class SoftmaxLossCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(SoftmaxLossCuda, Types);

template <typename T>
void agree(int64_t rows, int64_t classes, double spread) {
  SoftmaxDevice<T> run(rows, classes, spread);
  softmax_loss_cuda(run.args(), nullptr);
  const std::string what = std::to_string(rows) + " rows of " + std::to_string(classes);
  Worst loss(what + " loss"), slope(what + " slopes");
  const std::vector<double> got = run.losses_on.wide(), got_slopes = run.scores_on.wide();
  // Exponents are as exact as the largest score.
  const Tolerance bound = Tolerance::sum<float>(16 + classes, run.largest);
  for (int64_t r = 0; r < rows; ++r) loss.compare(r, run.losses[r], got[r], bound);
  for (int64_t i = 0; i < rows * classes; ++i) {
    Tolerance of_slope = bound;
    of_slope.bound = bound.bound * run.kScale + testing::rounding<T>(run.slopes[i]);
    slope.compare(i, run.slopes[i], got_slopes[i], of_slope);
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
  SoftmaxDevice<TypeParam> one(9, 5003, 1), other(9, 5003, 1);
  softmax_loss_cuda(one.args(), nullptr);
  softmax_loss_cuda(other.args(), nullptr);
  EXPECT_EQ(one.losses_on.wide(), other.losses_on.wide());
  EXPECT_EQ(one.scores_on.wide(), other.scores_on.wide());
}

TYPED_TEST(SoftmaxLossCuda, WrongShapesAreRefused) {
  SoftmaxDevice<TypeParam> device(3, 5, 1);
  auto args = device.args();
  args.label = args.label.slice(0, 0, 2);
  EXPECT_THROW(softmax_loss_cuda(args, nullptr), InvalidArgument);
  args = device.args();
  args.scale = args.scale.slice(0, 0, 0);
  EXPECT_THROW(softmax_loss_cuda(args, nullptr), InvalidArgument);
  args = device.args();
  args.loss = args.loss.slice(0, 0, 2);
  EXPECT_THROW(softmax_loss_cuda(args, nullptr), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
