// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <optional>

#include "longwave/ops/cuda/tile_map_cuda.h"

namespace longwave::ops::lti_cuda {

/// A box of a signal for the copy engine: channels, steps and lines, how it permutes pieces of
/// rows, and how much more of a row the second cache takes at once.
struct BoxShape {
  cuuint32_t channels, steps;
  CUtensorMapSwizzle swizzle;
  CUtensorMapL2promotion promotion = CU_TENSOR_MAP_L2_PROMOTION_NONE;
  cuuint32_t lines = 1;
};

/// A signal (batch, time, channels) of bfloat16 as boxes for the copy engine; absent where it does
/// not take them: rows must begin at multiples of 16 bytes.
inline std::optional<CUtensorMap> box_map(const View<const __nv_bfloat16, 3>& x,
                                          const BoxShape& shape) {
  constexpr int64_t kMostSteps = std::numeric_limits<int>::max() / 2;
  static const PFN_cuTensorMapEncodeTiled_v12000 encode = gpu::tile_map_encoder();
  if (encode == nullptr || x.size() == 0 || x.extent(1) > kMostSteps) return std::nullopt;
  if (x.stride(2) != 1 && x.extent(2) != 1) return std::nullopt;
  if (reinterpret_cast<uintptr_t>(x.data()) % 16 != 0) return std::nullopt;
  for (int i = 0; i < 2; ++i) {
    if (x.extent(i) != 1 && x.stride(i) % 8 != 0) return std::nullopt;
  }
  cuuint64_t extents[3], strides[2];
  const cuuint32_t box[3] = {shape.channels, shape.steps, shape.lines}, steps[3] = {1, 1, 1};
  for (int i = 0; i < 3; ++i) extents[i] = static_cast<cuuint64_t>(x.extent(2 - i));
  // What is there once has any stride.
  for (int i = 0; i < 2; ++i) {
    strides[i] = extents[i + 1] == 1 ? 16 : static_cast<cuuint64_t>(x.stride(1 - i)) * 2;
  }
  CUtensorMap map;
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, const_cast<__nv_bfloat16*>(x.data()),
             extents, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, shape.swizzle,
             shape.promotion, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) return std::nullopt;
  return map;
}

}  // namespace longwave::ops::lti_cuda
