// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops {

/// The step of a group from the bits of its largest |x|; NaN where that is not finite, 0 where it
/// counts as zero.
float int8_step(uint32_t largest_bits);

}  // namespace longwave::ops
