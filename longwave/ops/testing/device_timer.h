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

/// Times `work(i)`, which queues in `stream`, with events; i counts from 0, a warm-up included.
template <typename Work>
DeviceTime time_on_device(int repeats, Work&& work, cudaStream_t stream = nullptr) {
  constexpr int kWarmUps = 3;
  cudaEvent_t begin, end;
  require_cuda(cudaEventCreate(&begin));
  require_cuda(cudaEventCreate(&end));
  std::vector<double> times;
  for (int i = 0; i < kWarmUps + repeats; ++i) {
    require_cuda(cudaEventRecord(begin, stream));
    work(i);
    require_cuda(cudaEventRecord(end, stream));
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

/// Times a call of `work(i, stream)` among `calls` of them, i counting from 0, that a CUDA graph
/// repeats: what work of microseconds costs where no launch is waited for.
template <typename Work>
DeviceTime time_recorded(int repeats, int64_t calls, Work&& work) {
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t recorded;
  require_cuda(cudaDeviceSynchronize());
  require_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  work(0, stream);  // loads kernels, which cannot be recorded
  require_cuda(cudaStreamSynchronize(stream));
  require_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int64_t i = 0; i < calls; ++i) work(i, stream);
  require_cuda(cudaStreamEndCapture(stream, &graph));
  require_cuda(cudaGraphInstantiate(&recorded, graph, 0));
  const DeviceTime all = time_on_device(
      repeats, [&](int) { require_cuda(cudaGraphLaunch(recorded, stream)); }, stream);
  cudaGraphExecDestroy(recorded);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
  const auto count = static_cast<double>(calls);
  return {all.median / count, all.least / count, all.most / count};
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
