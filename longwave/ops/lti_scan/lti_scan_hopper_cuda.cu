// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/launch_cuda.h"
#include "longwave/ops/lti_scan/lti_cluster_scan_cuda.cuh"

namespace longwave::ops::lti_cuda {
namespace {

template <int kModeTiles>
void queue_tiles(const ClusterScanLaunch& launch, cudaStream_t stream, const char* where) {
  const auto kernel = cluster_scan_kernel<kModeTiles>;
  constexpr int kBytes = sizeof(ClusterScanMemory<kModeTiles>);
  gpu::require_device(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes), where);
  const int64_t clusters = launch.parts[0].clusters() + launch.parts[1].clusters();
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {kClusterBlocks, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = gpu::blocks_for(clusters * kClusterBlocks, 1, where);
  config.blockDim = kClusterThreads;
  config.dynamicSmemBytes = kBytes;
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = 1;
  gpu::require_device(cudaLaunchKernelEx(&config, kernel, launch), where);
}

}  // namespace

void queue_cluster_scan(const ClusterScanLaunch& launch, int mode_tiles, cudaStream_t stream,
                        const char* where) {
  if (mode_tiles == 2) {
    queue_tiles<2>(launch, stream, where);
  } else {
    queue_tiles<4>(launch, stream, where);
  }
}

}  // namespace longwave::ops::lti_cuda
