// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "longwave/base/workspace.h"
#include "longwave/ops/ssd/ssd.h"
#include "longwave/ops/ssd/ssd_size.h"

namespace longwave::ops {

/// The chunked forms in float32, on checked operands.
size_t ssd_forward_cpu_bytes(const SsdSize& size);
void ssd_forward_cpu(const SsdArgs<float>& args, Workspace& workspace);

size_t ssd_backward_cpu_bytes(const SsdSize& size);
void ssd_backward_cpu(const SsdGradArgs<float>& args, Workspace& workspace);

/// One step by the recurrence.
void ssd_step_cpu(const SsdArgs<float>& args);

}  // namespace longwave::ops
