// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/base/view.h"

struct CUstream_st;

namespace longwave::ops::gpu {

/// Queues out[i, j] = sum_r parts[r, i, j] on a GPU: what blocks left of a sum over steps.
///
/// Numerics   in double, in an order that their number fixes: the same parts give the same bits.
/// Errors     DeviceError if the driver refuses.
void sum_rows(const View<const float, 3>& parts, const View<float, 2>& out, CUstream_st* stream);

}  // namespace longwave::ops::gpu
