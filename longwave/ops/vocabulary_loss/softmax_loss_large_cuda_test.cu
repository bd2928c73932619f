// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/ops/testing/device_large.h"
#include "longwave/ops/vocabulary_loss/softmax_loss_cuda.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::EndOfZeros;
using testing::noise;
using T = __nv_bfloat16;

constexpr int64_t kRows = 5;  // the last ones, before which all is zeros

// The loss, and its gradient in place of the scores. All labels are 0.
struct LargeLoss {
  LargeLoss(int64_t rows, int64_t classes)
      : scores(rows * classes, noise<T>(kRows * classes, 1)),
        labels(rows, {}),
        scale(std::vector<float>{0.25f}),
        loss(rows) {
    softmax_loss_cuda<T>({.label = {labels.data(), {rows}},
                          .scale = {scale.data(), {1}},
                          .scores = {scores.data(), {rows, classes}},
                          .loss = {loss.data(), {rows}}},
                         nullptr);
  }

  EndOfZeros<T> scores;
  EndOfZeros<int64_t> labels;
  DeviceBuffer<float> scale, loss;
};

TEST(SoftmaxLossCudaLarge, WhatLiesBehind2To31ElementsIsAsAlone) {
  for (const int64_t classes : {4096, 5001}) {  // by packs of scores, and each alone
    const int64_t rows = testing::kLarge / classes + 1 + kRows;
    const std::string lack =
        testing::shortage(rows * (classes * static_cast<int64_t>(sizeof(T)) + 16));
    if (!lack.empty()) GTEST_SKIP() << lack;
    const LargeLoss alone(kRows, classes), large(rows, classes);
    const std::string what = "classes " + std::to_string(classes);
    testing::expect_same_end(what + " gradient", alone.scores, large.scores);
    testing::expect_same_end(what + " loss", alone.loss, large.loss);
  }
}

}  // namespace
}  // namespace longwave::ops
