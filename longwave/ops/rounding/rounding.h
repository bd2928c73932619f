// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace longwave::ops {

/// Numbers that share a step in `round_to_int8`; the last group may have fewer.
inline constexpr int64_t kRoundingGroup = 32;

/// Rounds to the nearest bfloat16, ties to even; NaN stays NaN.
///
/// Numerics   |error| <= 2^-8 |x|.
/// Cost       one pass, on all threads; no allocation.
/// Threads    safe for distinct x.
void round_to_bfloat16(std::span<float> x);

/// Rounds each group of 32 numbers to products of a step s and integers of 8 bits.
///
///   x = s q      s = max|x| / 127, rounded up to 17 bits      q = round(x / s)
///
/// Numerics   |error| <= max|x| / 253. Products are exact and give the same step again, so that
///            rounding twice is rounding once. Below 2^-100 a group is zero. A number that is not
///            finite makes its group NaN.
/// Cost       two passes, on all threads; no allocation.
/// Threads    safe for distinct x.
void round_to_int8(std::span<float> x);

/// The formula for one group, number by number: the step, and integers in [-127, 127].
float int8_step(std::span<const float> group);
int8_t int8_of(float x, float step);

}  // namespace longwave::ops
