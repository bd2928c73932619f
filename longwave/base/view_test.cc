// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/view.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "longwave/base/tensor.h"

namespace longwave {
namespace {

std::vector<float> counting(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

TEST(View, IsRowMajorByDefault) {
  std::vector<float> data = counting(24);
  const View<float, 3> view(data.data(), {2, 3, 4});
  EXPECT_EQ(view(1, 2, 3), 23);
  EXPECT_EQ(view(0, 1, 0), 4);
  EXPECT_EQ(view.size(), 24);
  EXPECT_TRUE(view.contiguous());
  EXPECT_FALSE(view.absent());
  EXPECT_TRUE((View<float, 2>().absent()));
}

TEST(View, SubViewsAndSlicesLookAtTheSameNumbers) {
  std::vector<float> data = counting(24);
  const View<float, 3> view(data.data(), {2, 3, 4});
  const auto middle = view.slice(1, 1, 2);
  EXPECT_EQ(middle(1, 0, 2), view(1, 1, 2));
  EXPECT_EQ(middle[1](1, 3), view(1, 2, 3));
  EXPECT_FALSE(middle.contiguous());
  middle(0, 0, 0) = -1;
  EXPECT_EQ(data[4], -1);
}

TEST(View, ZeroStrideBroadcasts) {
  float value = 3;
  const View<const float, 2> view(&value, {5, 7}, {0, 0});
  EXPECT_EQ(view(4, 6), 3);
  EXPECT_EQ(view.size(), 35);
}

// Offsets past 2^31 elements: computed, never dereferenced.
TEST(View, OffsetsAre64Bit) {
  const int64_t rows = int64_t{1} << 20, columns = int64_t{1} << 15;
  std::vector<float> anchor(1);
  const View<float, 2> view(anchor.data(), {rows, columns});
  const auto last = view.slice(0, rows - 1, 1);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(last.data()) - reinterpret_cast<uintptr_t>(anchor.data()),
            static_cast<uintptr_t>((rows - 1) * columns) * sizeof(float));
}

#if LONGWAVE_CHECKED
TEST(ViewDeathTest, IndexOutOfRangeIsOurBug) {
  std::vector<float> data(6);
  const View<float, 2> view(data.data(), {2, 3});
  EXPECT_DEATH(static_cast<void>(view(2, 0)), "out of range");
  EXPECT_DEATH(static_cast<void>(view(0, -1)), "out of range");
}
#endif

}  // namespace
}  // namespace longwave
