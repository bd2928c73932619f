// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/ops/dropout/dropout_cuda.h"
#include "longwave/ops/testing/device_large.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;

TEST(DropoutCuda, DrawsTheWordsOfPhilox) {
  constexpr uint64_t kPlace = 0x9123456789abcdef;
  const std::vector<int64_t> seeds = {-3, 0x123456789abcdef};
  for (const int64_t seed : seeds) {
    DeviceBuffer<int64_t> seed_on(std::vector<int64_t>{seed});
    for (const int64_t count : {0, 1, 3, 4, 1023, 1024, 5001}) {
      for (const double rate : {0.0, 0.1, 0.75}) {
        DeviceBuffer<float> mask(count);
        dropout_mask_cuda({.rate = rate,
                           .seed = {seed_on.data(), {1}},
                           .place = kPlace,
                           .mask = {mask.data(), {count}}},
                          nullptr);
        const std::vector<float> got = mask.host();
        const float keep = static_cast<float>(1 / (1 - rate));
        for (int64_t i = 0; i < count; ++i) {
          const auto words = philox(static_cast<uint64_t>(seed), i / 4, kPlace);
          const float expected = words[i % 4] >= rate * 4294967296.0 ? keep : 0.0f;
          ASSERT_EQ(got[i], expected) << "rate " << rate << " number " << i << " of " << count;
        }
      }
    }
  }
}

TEST(DropoutCuda, DrawsTheWordsOfPhiloxBehind2To31Numbers) {
  constexpr int64_t kLast = 1000, kCount = testing::kLarge + kLast;
  constexpr double kRate = 0.5;
  const std::string lack = testing::shortage(kCount * static_cast<int64_t>(sizeof(float)));
  if (!lack.empty()) GTEST_SKIP() << lack;
  DeviceBuffer<int64_t> seed(std::vector<int64_t>{7});
  DeviceBuffer<float> mask(kCount);
  dropout_mask_cuda(
      {.rate = kRate, .seed = {seed.data(), {1}}, .place = 3, .mask = {mask.data(), {kCount}}},
      nullptr);
  std::vector<float> expected;
  for (int64_t i = testing::kLarge; i < kCount; ++i) {
    expected.push_back(philox(7, i / 4, 3)[i % 4] >= kRate * 4294967296.0 ? 2.0f : 0.0f);
  }
  EXPECT_EQ(expected, mask.host(kLast));
}

TEST(DropoutCuda, RefusesARateOfOne) {
  DeviceBuffer<int64_t> seed(std::vector<int64_t>{1});
  DeviceBuffer<float> mask(8);
  EXPECT_THROW(
      dropout_mask_cuda(
          {.rate = 1.0, .seed = {seed.data(), {1}}, .place = 0, .mask = {mask.data(), {8}}},
          nullptr),
      InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
