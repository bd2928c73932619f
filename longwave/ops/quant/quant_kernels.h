// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/dtype.h"

namespace longwave::ops {

/// `count` numbers in whole blocks as float32.
void dequantize_row_cpu(DType dtype, const std::byte* data, int64_t count, float* y);

/// `count` finite numbers in whole blocks of the type; false if one is too large for it.
[[nodiscard]] bool quantize_row_cpu(DType dtype, const float* x, int64_t count, std::byte* out);

}  // namespace longwave::ops
