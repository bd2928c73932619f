// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "longwave/ops/testing/device_agree.h"
#include "longwave/ops/testing/device_buffer.h"

// What laws of operands take that no counter of 32 bits goes through: what lies behind element 2^31
// is as it is alone. All before it is zeros, made on the GPU.

namespace longwave::ops::testing {

/// More elements than a counter of 32 bits with a sign can tell apart.
inline constexpr int64_t kLarge = int64_t{1} << 31;

/// Sequences whose last steps lie behind kLarge elements.
struct LargeShape {
  const char* name;
  int64_t batch, time;
};

/// Many sequences of `time` steps, a multiple of 64, of so many channels; and a long one.
inline std::array<LargeShape, 2> large_shapes(int64_t time, int64_t channels) {
  return {{{"many sequences", kLarge / (time * channels) + 1, time},
           {"a long sequence", 1, kLarge / channels + time}}};
}

/// What to say where a GPU has fewer bytes free; empty where it has them.
inline std::string shortage(int64_t bytes) {
  size_t free = 0, whole = 0;
  require_cuda(cudaMemGetInfo(&free, &whole));
  if (static_cast<int64_t>(free) >= bytes) return {};
  return fmt::format("wants {:.1f} GB of a GPU's memory, of which {:.1f} GB are free", bytes * 1e-9,
                     static_cast<double>(free) * 1e-9);
}

/// Numbers on a GPU: zeros, and at their end those of the host.
template <typename T>
class EndOfZeros : public DeviceBuffer<T> {
 public:
  EndOfZeros(int64_t count, const std::vector<double>& last) : DeviceBuffer<T>(count) {
    const int64_t zeros = count - static_cast<int64_t>(last.size());
    std::vector<T> rounded;
    for (const double x : last) rounded.push_back(static_cast<T>(static_cast<float>(x)));
    require_cuda(cudaMemset(this->data(), 0, zeros * sizeof(T)));
    require_cuda(cudaMemcpy(this->data() + zeros, rounded.data(), last.size() * sizeof(T),
                            cudaMemcpyHostToDevice));
  }
};

/// Expects that the last numbers of a large result have the bits that they have alone.
template <typename T>
void expect_same_end(const std::string& what, const DeviceBuffer<T>& alone,
                     const DeviceBuffer<T>& large) {
  const std::vector<double> expected = alone.wide();
  EXPECT_EQ(expected, large.wide(static_cast<int64_t>(expected.size()))) << what;
}

/// Expects them to be as alone but for the rounding of sums of so many products; see expect_close.
template <typename T>
void expect_close_end(const std::string& what, const DeviceBuffer<T>& alone,
                      const DeviceBuffer<T>& large, int64_t terms) {
  const std::vector<double> expected = alone.wide();
  expect_close<T>(what, expected, large.wide(static_cast<int64_t>(expected.size())), terms);
}

/// Expects that a sum of as many terms, whose others are zeros, is as it is alone.
inline void expect_same_sum(const std::string& what, const DeviceBuffer<float>& alone,
                            const DeviceBuffer<float>& large, int64_t terms) {
  expect_close<float>(what, alone.wide(), large.wide(), terms);
}

}  // namespace longwave::ops::testing
