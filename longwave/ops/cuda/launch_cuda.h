// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "longwave/base/error.h"
#include "longwave/base/view.h"

namespace longwave::ops::gpu {

/// Throws DeviceError if the driver refused, and leaves nothing of it to who asks next.
inline void require_device(cudaError_t status, const char* where) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  // Which of the two says that nothing was compiled for this GPU depends on what is asked first.
  const bool other_gpu =
      status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction;
  throw DeviceError({.where = where,
                     .what = std::string("the driver refused: ") + cudaGetErrorString(status),
                     .got = cudaGetErrorName(status),
                     .fix = other_gpu ? "build with -DCMAKE_CUDA_ARCHITECTURES=NN, the compute "
                                        "capability of this GPU: 80 for 8.0"
                                      : ""});
}

/// Whether the present GPU is the one that files named *_hopper_cuda.cu are compiled for.
inline bool is_hopper() {
  int device = 0, major = 0, minor = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess &&
         major == 9 && minor == 0;
}

/// Blocks of a grid, `per_block` of `count` things each; InvalidArgument if they are too many.
inline unsigned blocks_for(int64_t count, int64_t per_block, const char* where) {
  const int64_t blocks = (count + per_block - 1) / per_block;
  require(blocks < int64_t{1} << 31, where, "the operands need too many blocks of a GPU");
  return static_cast<unsigned>(blocks);
}

/// Lanes of a warp that go over so many neighbours together, `pack` of them at a time: a power of
/// two.
inline int lanes_for(int64_t count, int pack) {
  const auto packs = static_cast<uint64_t>((count + pack - 1) / pack);
  return static_cast<int>(std::min<uint64_t>(32, std::bit_ceil(packs)));
}

/// Whether rows of `row` elements can be passed through `bytes` bytes at a time.
template <typename T, int Rank>
bool in_pieces(const View<T, Rank>& x, int64_t row, int64_t bytes) {
  const int64_t piece = bytes / static_cast<int64_t>(sizeof(T));
  bool aligned = reinterpret_cast<uintptr_t>(x.data()) % bytes == 0 &&
                 (x.stride(Rank - 1) == 1 || x.extent(Rank - 1) == 1) && row % piece == 0;
  for (int i = 0; i + 1 < Rank; ++i) aligned = aligned && x.stride(i) % piece == 0;
  return aligned;
}

/// A signal (batch, time, channels) from its last step to its first.
template <typename T>
View<T, 3> reversed(const View<T, 3>& signal) {
  const int64_t last = std::max<int64_t>(0, signal.extent(1) - 1), stride = signal.stride(1);
  return {signal.data() + last * stride,
          signal.extents(),
          {signal.stride(0), -stride, signal.stride(2)}};
}

/// Device memory handed out from the front, aligned to 16 bytes.
class DeviceScratch {
 public:
  explicit DeviceScratch(std::byte* memory) : memory_(memory) {}
  static size_t bytes(int64_t floats) {
    return (static_cast<size_t>(floats) * sizeof(float) + 15) / 16 * 16;
  }
  float* take(int64_t floats) {
    float* const taken = reinterpret_cast<float*>(memory_ + used_);
    used_ += bytes(floats);
    return taken;
  }

 private:
  std::byte* memory_;
  size_t used_ = 0;
};

}  // namespace longwave::ops::gpu
