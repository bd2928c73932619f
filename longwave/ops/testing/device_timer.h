// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops::testing {

/// Milliseconds of repeated work on a GPU.
struct DeviceTime {
  double median, least, most;
};

/// Times `work(i)` with events, i counting from 0, after a warm-up.
template <typename Work>
DeviceTime time_on_device(int repeats, Work&& work) {
  constexpr int kWarmUps = 3;
  cudaEvent_t begin, end;
  require_cuda(cudaEventCreate(&begin));
  require_cuda(cudaEventCreate(&end));
  std::vector<double> times;
  for (int i = 0; i < kWarmUps + repeats; ++i) {
    require_cuda(cudaEventRecord(begin));
    work(i);
    require_cuda(cudaEventRecord(end));
    require_cuda(cudaEventSynchronize(end));
    float milliseconds = 0;
    require_cuda(cudaEventElapsedTime(&milliseconds, begin, end));
    if (i >= kWarmUps) times.push_back(milliseconds);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front(), times.back()};
}

/// Bytes that a copy within the GPU's memory moves a second, read and written.
inline double device_copy_speed() {
  constexpr int64_t kBytes = int64_t{1} << 31;
  DeviceBuffer<uint8_t> from(kBytes), to(kBytes);
  const DeviceTime time = time_on_device(10, [&](int) {
    require_cuda(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice));
  });
  return 2.0 * kBytes / (time.median * 1e-3);
}

}  // namespace longwave::ops::testing
