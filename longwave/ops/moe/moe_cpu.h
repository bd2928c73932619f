// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/moe/moe.h"

namespace longwave::ops {

/// The float kernels, for adjacent channels.
void combine_cpu(const CombineArgs<float>& args);
void combine_backward_cpu(const CombineGradArgs<float>& args);

}  // namespace longwave::ops
