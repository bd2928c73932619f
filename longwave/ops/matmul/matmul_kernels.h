// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/matmul/matmul.h"

namespace longwave::ops {

/// The formula, term by term, for any strides: the judge of the kernels.
template <typename T>
void matmul_ref(const MatmulArgs<T>& args);

/// Dot products in SIMD registers with float32, float16 or bfloat16 weights. Elements of a row must
/// be adjacent, here and below.
void matmul_few_rows_cpu(const MatmulArgs<float>& args);

/// Integer dot products with blocked weights; x is rounded to 8 bits.
void matmul_blocks_cpu(const MatmulArgs<float>& args);

/// As `matmul_blocks_cpu`, of the rows of W that lie in panels: those left over are not touched.
void matmul_panels_cpu(const MatmulArgs<float>& args);

/// OpenBLAS, a block of rows a call, with float32 weights or tiles of others as float32.
void matmul_many_rows_cpu(const MatmulArgs<float>& args);

}  // namespace longwave::ops
