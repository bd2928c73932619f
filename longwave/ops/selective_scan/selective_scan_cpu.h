// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/selective_scan/selective_scan.h"

namespace longwave::ops {

/// The float kernels behind selective_scan.h, without argument checks: tiles of 16 channels go
/// through time in chunks, states in registers, tiles in parallel.
void selective_scan_cpu(const SelectiveScanArgs<float>& args, Workspace& workspace);
void selective_scan_step_cpu(const SelectiveScanArgs<float>& args);
void selective_scan_backward_cpu(const SelectiveScanGradArgs<float>& args, Workspace& workspace);

/// Scratch bytes that they take.
size_t selective_scan_cpu_bytes(const SelectiveScanSize& size);
size_t selective_scan_backward_cpu_bytes(const SelectiveScanSize& size);

}  // namespace longwave::ops
