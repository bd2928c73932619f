// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/recording_torch.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "longwave/base/error.h"
#include "longwave/ops/testing/device_torch.h"

namespace longwave::ops::gpu {
namespace {

class DeviceRecording : public testing::OnDevice<> {};

constexpr int kPasses = 50;

// Milliseconds of work on a GPU, for which the host does not wait.
void count_up(const torch::Tensor& numbers) {
  for (int i = 0; i < kPasses; ++i) numbers.add_(1);
}

torch::Tensor zeros() { return torch::zeros({1 << 24}, torch::device(torch::kCUDA)); }

TEST_F(DeviceRecording, WorkThatThrowsIsStillBeforeWhatFollows) {
  Recording recording;
  const torch::Tensor numbers = zeros();
  EXPECT_THROW(recording.run([&] {
    count_up(numbers);
    throw std::runtime_error("given up");
  }),
               std::runtime_error);
  EXPECT_EQ(numbers.min().item<float>(), kPasses);
}

TEST_F(DeviceRecording, WorkThatThrowsCanBeRecordedAgain) {
  Recording recording;
  const torch::Tensor numbers = zeros();
  recording.run([&] { count_up(numbers); });
  EXPECT_THROW(recording.record([&] {
    count_up(numbers);
    throw std::runtime_error("given up");
  }),
               std::runtime_error);
  EXPECT_EQ(numbers.max().item<float>(), kPasses);
  recording.record([&] { count_up(numbers); });
  recording.replay();
  EXPECT_EQ(numbers.min().item<float>(), 2 * kPasses);
}

TEST(Recording, IsRefusedInABuildWithoutCuda) {
  if (kBuiltIn) GTEST_SKIP() << "a build with CUDA";
  EXPECT_THROW(Recording(), DeviceError);
}

}  // namespace
}  // namespace longwave::ops::gpu
