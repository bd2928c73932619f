// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <optional>
#include <type_traits>

#include "longwave/base/view.h"

namespace longwave::ops::gpu {

/// Where the driver describes operands for the copy engine; absent if it does not.
inline PFN_cuTensorMapEncodeTiled_v12000 tile_map_encoder() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t status = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found,
                                                              12000, cudaEnableDefault, &result);
  if (status != cudaSuccess || result != cudaDriverEntryPointSuccess) return nullptr;
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(found);
}

/// An operand of 16-bit numbers, (batch, time, heads or groups, columns), as tiles of 64 steps and
/// columns of one head for the copy engine. Rows can be copied 16 bytes at a time; absent where the
/// driver does not take other strides.
template <typename T>
std::optional<CUtensorMap> tile_map(const View<const T, 4>& x) {
  static_assert(sizeof(T) == 2);
  static const PFN_cuTensorMapEncodeTiled_v12000 encode = tile_map_encoder();
  if (encode == nullptr) return std::nullopt;
  cuuint64_t extents[4], strides[3];
  const cuuint32_t box[4] = {64, 1, 64, 1}, steps[4] = {1, 1, 1, 1};
  for (int i = 0; i < 4; ++i) extents[i] = static_cast<cuuint64_t>(x.extent(3 - i));
  // What is there once has any stride.
  for (int i = 0; i < 3; ++i) {
    strides[i] = extents[i + 1] == 1 ? 16 : static_cast<cuuint64_t>(x.stride(2 - i)) * sizeof(T);
  }
  CUtensorMap map;
  const CUresult result =
      encode(&map,
             std::is_same_v<T, __nv_bfloat16> ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                              : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
             4, const_cast<T*>(x.data()), extents, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) return std::nullopt;
  return map;
}

}  // namespace longwave::ops::gpu
