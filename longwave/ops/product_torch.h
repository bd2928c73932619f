// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

/// out = a b for matrices; a and b are of one type, which out has too, or float32 beside 16-bit
/// numbers. out may be a slice of columns.
///
/// Numerics   on a GPU with libtorch 2.8 or newer float32 results of 16-bit numbers are rounded
///            once; elsewhere they pass through 16 bits.
void multiply_into(torch::Tensor out, const torch::Tensor& a, const torch::Tensor& b);

/// out += a b, as `multiply_into`.
void add_product(torch::Tensor out, const torch::Tensor& a, const torch::Tensor& b);

}  // namespace longwave::ops
