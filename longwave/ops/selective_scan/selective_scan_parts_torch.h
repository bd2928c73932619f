// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/selective_scan/selective_scan_torch.h"

namespace longwave::ops {

/// selective_scan as the sum of scans of at most `most` states of a channel each, which do not see
/// one another: the form on a GPU for more states than the kernels there take; right on any device.
///
///   y[t] = (sum_parts C_part[t] . h_part[t] + D u[t]) silu(z[t])
///
/// Numerics   as selective_scan; parts, skip and gate are joined in float32 and y is rounded once.
/// Cost       as selective_scan; step sizes are computed, and u, dt and y pass through memory,
///            once a part.
SelectiveScanOutput selective_scan_in_parts(const SelectiveScanTensors& in, int64_t most);

}  // namespace longwave::ops
