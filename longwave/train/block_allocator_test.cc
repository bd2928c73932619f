// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/block_allocator.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>
#include <vector>

namespace longwave::train {
namespace {

class ReusableBlocks : public ::testing::Test {
 protected:
  ReusableBlocks() { use_reusable_blocks(); }
};

TEST_F(ReusableBlocks, AreAlignedAndHoldNumbers) {
  for (const int64_t size : {0, 1, 15, 16, 17, 4097, 1 << 20}) {
    const torch::Tensor tensor = torch::full({size}, 2.0F);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data_ptr()) % 64, 0U) << size;
    EXPECT_EQ(tensor.sum().item<float>(), 2.0F * static_cast<float>(size));
    EXPECT_TRUE(torch::equal(tensor.clone(), tensor));
  }
}

TEST_F(ReusableBlocks, ServeTheNextRequestOfTheirSize) {
  constexpr int64_t kSize = 1 << 14, kCount = 8;
  std::vector<torch::Tensor> held, walls;
  // Between walls, so that blocks that are freed do not grow together.
  for (int64_t i = 0; i < kCount; ++i) {
    held.push_back(torch::empty({kSize}));
    walls.push_back(torch::empty({100}));
  }
  std::vector<void*> before;
  for (const torch::Tensor& tensor : held) before.push_back(tensor.data_ptr());
  held.clear();
  for (int64_t i = 0; i < kCount; ++i) {
    held.push_back(torch::empty({kSize}));
    EXPECT_NE(std::ranges::find(before, held.back().data_ptr()), before.end()) << i;
  }
}

TEST_F(ReusableBlocks, TellWhenMemoryIsOut) {
  EXPECT_THROW(torch::empty({std::numeric_limits<int64_t>::max() / 16}), std::bad_alloc);
}

}  // namespace
}  // namespace longwave::train
