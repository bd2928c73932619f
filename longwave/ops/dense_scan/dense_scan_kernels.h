// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "longwave/ops/dense_scan/dense_scan.h"

namespace longwave::ops {

/// The formula, line by line. `next` holds a state row a channel.
template <typename T>
void dense_scan_ref(const DenseScanArgs<T>& args, std::span<T> next);

/// Lanes over the rows of A. Columns of A, rows of B, C and x must be adjacent in memory.
void dense_scan_cpu(const DenseScanArgs<float>& args, std::span<float> next);

}  // namespace longwave::ops
