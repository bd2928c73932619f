// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/lti_scan/lti_box_scan_cuda.cuh"

namespace longwave::ops::lti_cuda {
namespace {

template <int kModeTiles>
void queue_tiles(const BoxScanLaunch& launch, cudaStream_t stream, const char* where) {
  const auto kernel = box_scan_kernel<kModeTiles>;
  constexpr int kBytes = sizeof(BoxScanMemory<kModeTiles>);
  static_assert(kBytes <= 227 * 1024);
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), where);
  const auto groups = [](int64_t count, int64_t each) { return (count + each - 1) / each; };
  const int64_t blocks =
      groups(launch.lines.count(), kBoxLines) * groups(launch.lines.channels, kBoxChannels);
  kernel<<<gpu::blocks_for(blocks, 1, where), kBoxThreads, kBytes, stream>>>(launch);
  gpu::require_device(cudaGetLastError(), where);
}

}  // namespace

void queue_box_scan(const BoxScanLaunch& launch, int mode_tiles, cudaStream_t stream,
                    const char* where) {
  if (mode_tiles == 1) {
    queue_tiles<1>(launch, stream, where);
  } else if (mode_tiles == 2) {
    queue_tiles<2>(launch, stream, where);
  } else {
    queue_tiles<4>(launch, stream, where);
  }
}

}  // namespace longwave::ops::lti_cuda
