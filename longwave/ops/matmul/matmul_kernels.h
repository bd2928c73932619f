// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/matmul/matmul.h"

namespace longwave::ops {

/// Rows up to which `matmul` uses its own product rather than OpenBLAS.
inline constexpr int64_t kMatmulFewRows = 8;

/// The formula, term by term, for any strides: the judge of the kernels.
template <typename T>
void matmul_ref(const MatmulArgs<T>& args);

/// Dot products in SIMD registers. x, W and y need unit strides in their last extent.
void matmul_few_rows_cpu(const MatmulArgs<float>& args);

/// OpenBLAS, a block of rows a call. x, W and y need unit strides in their last extent.
void matmul_many_rows_cpu(const MatmulArgs<float>& args);

}  // namespace longwave::ops
