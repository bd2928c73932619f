// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::mixers {

/// The steps of all sequences one after the other: (batch, time, channels) as (batch time,
/// channels).
inline torch::Tensor rows_of(const torch::Tensor& x) { return x.flatten(0, 1); }

}  // namespace longwave::mixers
