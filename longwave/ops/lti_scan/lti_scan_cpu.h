// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_scan.h"

namespace longwave::ops {

/// The float kernels behind lti_scan.h, without argument checks: tiles of 16 lanes (LtiTiling)
/// over blocks of steps (lti_blocks.h), tiles in parallel.
void lti_scan_cpu(const LtiScanArgs<float>& args, Workspace& workspace);
void lti_scan_backward_cpu(const LtiScanGradArgs<float>& args, Workspace& workspace);

/// One step at `t`, modes over lanes; single-threaded.
void lti_step_cpu(const LtiScanArgs<float>& args, int64_t t);

/// Scratch bytes that the two take.
size_t lti_scan_cpu_bytes(int64_t batch, int64_t channels, int64_t modes);
size_t lti_scan_backward_cpu_bytes(int64_t batch, int64_t channels, int64_t modes);

}  // namespace longwave::ops
