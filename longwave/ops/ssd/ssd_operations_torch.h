// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_torch.h"

namespace longwave::ops {

/// ssd as operations of torch, which differentiates them: matrix products over chunks of kSsdChunk
/// steps and over the chunks. The form on a GPU for what the kernels there do not offer; right on
/// any device.
///
/// Source     Dao & Gu 2024, arXiv:2405.21060, section 6 and listing 1.
/// Numerics   the precision of x; decays over chunks come from sums in float64.
/// Cost       as ssd; keeps the decays of a chunk's pairs of steps and a state a chunk for the
///            gradient.
SsdOutput ssd_of_operations(const SsdInput& input);

}  // namespace longwave::ops
