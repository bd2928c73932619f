// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/linear_torch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "longwave/nn/linear.h"
#include "longwave/nn/testing/twins_torch.h"

namespace longwave::nn {
namespace {

using testing::expect_close;
using testing::kBatch;
using testing::kChannels;
using testing::kTime;
using testing::random_tensor;
using testing::rows_of;
using testing::Twins;

TEST(Linear, TorchEqualsTorchFree) {
  const Twins twins(linear_parameters(kChannels, 7));
  const torch::Tensor x = random_tensor({kBatch, kTime, kChannels}, 1);
  const torch::Tensor expected = linear(x, twins.lookup());
  const torch::Tensor got = torch::full({kBatch, kTime, 7}, NAN);
  Linear(twins.weights, kChannels, 7).apply(rows_of(x), rows_of(got));
  expect_close("y", expected, got, kChannels);
}

}  // namespace
}  // namespace longwave::nn
