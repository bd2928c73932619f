// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/rounding/rounding.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "longwave/ops/rounding/rounding_cpu.h"

namespace longwave::ops {

float int8_step(uint32_t largest_bits) {
  constexpr uint32_t kInfinite = 0x7f800000u, kLow = 0x7fu;
  if (largest_bits >= kInfinite) return std::bit_cast<float>(0x7fc00000u);
  const auto largest = std::bit_cast<float>(largest_bits);
  if (largest < 0x1p-100f) return 0;
  return std::bit_cast<float>((std::bit_cast<uint32_t>(largest / 127) + kLow) & ~kLow);
}

float int8_step(std::span<const float> group) {
  uint32_t largest = 0;
  for (const float x : group) {
    largest = std::max(largest, std::bit_cast<uint32_t>(x) & 0x7fffffffu);
  }
  return int8_step(largest);
}

int8_t int8_of(float x, float step) {
  return step > 0 ? static_cast<int8_t>(std::nearbyint(x / step)) : int8_t{0};
}

}  // namespace longwave::ops
