// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/testing/device_buffer.h"
#include "longwave/ops/vocabulary_loss/softmax_loss_cuda.h"

namespace longwave::ops::testing {

/// Rows of scores, with their losses and slopes on the host in double, and on a GPU as T. A row in
/// five is not asked.
template <typename T>
struct SoftmaxDevice {
  static constexpr float kScale = 0.25f;

  SoftmaxDevice(int64_t count, int64_t of, double spread)
      : rows(count),
        classes(of),
        scores(drawn_scores(rows * classes, spread)),
        labels(drawn_labels()),
        losses(rows),
        slopes(rows * classes),
        scores_on(scores),
        labels_on(labels),
        scale_on(std::vector<float>{kScale}),
        losses_on(rows) {
    for (int64_t r = 0; r < rows; ++r) {
      if (labels[r] >= 0) solve(r);
    }
  }

  SoftmaxLossCudaArgs<T> args() {
    return {.label = {labels_on.data(), {rows}},
            .scale = {scale_on.data(), {1}},
            .scores = {scores_on.data(), {rows, classes}},
            .loss = {losses_on.data(), {rows}}};
  }

  Random random{1};
  int64_t rows, classes;
  std::vector<double> scores;
  std::vector<int64_t> labels;
  std::vector<double> losses, slopes;
  double largest = 1;  ///< of the rows' largest scores, and losses
  DeviceBuffer<T> scores_on;
  DeviceBuffer<int64_t> labels_on;
  DeviceBuffer<float> scale_on, losses_on;

 private:
  std::vector<double> drawn_scores(int64_t count, double spread) {
    std::vector<double> numbers;
    for (int64_t i = 0; i < count; ++i) {
      const auto score = static_cast<float>(spread * random.normal());
      numbers.push_back(static_cast<float>(static_cast<T>(score)));
    }
    return numbers;
  }
  std::vector<int64_t> drawn_labels() {
    std::vector<int64_t> numbers;
    for (int64_t r = 0; r < rows; ++r) {
      numbers.push_back(r % 5 == 3 ? -1 : static_cast<int64_t>(random.uniform() * classes));
    }
    return numbers;
  }

  void solve(int64_t r) {
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
};

}  // namespace longwave::ops::testing
