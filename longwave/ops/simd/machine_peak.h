// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longwave::ops {

/// What this machine can do at most, measured now, on as many threads as parallel_for uses: the
/// floors that benches compare with.
struct MachinePeak {
  double flops = 0;             ///< float32 fused multiply-adds a second, times two
  double bytes_per_second = 0;  ///< read and written by y = a x + y on arrays larger than caches
};

/// Measures both in about a second; the best of several rounds.
MachinePeak measure_machine_peak();

}  // namespace longwave::ops
