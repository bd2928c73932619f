// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <vector>

#include "longwave/ops/testing/device_timer.h"

namespace longwave::ops::testing {

/// Operands of a benchmark in memory of a GPU: up to a quarter of a million numbers of `draw()`,
/// made on the host once and repeated.
template <typename T, typename Draw>
std::unique_ptr<DeviceBuffer<T>> repeated_on_device(int64_t count, Draw&& draw) {
  const int64_t once = std::min<int64_t>(count, 1 << 18);
  std::vector<T> some;
  some.reserve(once);
  for (int64_t i = 0; i < once; ++i) some.push_back(static_cast<T>(static_cast<float>(draw())));
  auto buffer = std::make_unique<DeviceBuffer<T>>(count);
  for (int64_t i = 0; i < count; i += once) {
    require_cuda(cudaMemcpy(buffer->data() + i, some.data(), std::min(once, count - i) * sizeof(T),
                            cudaMemcpyHostToDevice));
  }
  return buffer;
}

/// Whether the largest error is within `bound` of the largest number, or of 1 if all are smaller.
inline bool is_close(const std::vector<double>& expected, const std::vector<double>& got,
                     double bound) {
  double worst = 0, largest = 1;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - expected[i]);
    if (std::isnan(error)) return false;
    worst = std::max(worst, error);
    largest = std::max(largest, std::abs(expected[i]));
  }
  return worst <= bound * largest;
}

/// Prints the GPU's name and gives device_copy_speed, which it prints too.
inline double announce_device() {
  cudaDeviceProp device;
  require_cuda(cudaGetDeviceProperties(&device, 0));
  const double copy_speed = device_copy_speed();
  std::printf("%s, copy %.2f TB/s read and written\n", device.name, copy_speed / 1e12);
  return copy_speed;
}

}  // namespace longwave::ops::testing
