// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/philox.h"

#include <cmath>
#include <numbers>

#include "longwave/base/error.h"
#include "longwave/base/philox_block.h"

namespace longwave {
namespace {

constexpr double kTwoToMinus53 = 0x1p-53;

}  // namespace

std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  return philox_block(key, counter_low, counter_high);
}

uint64_t stream_id(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char byte : name) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

uint64_t Random::bits() {
  const auto words = philox(position_.seed, position_.counter++, position_.stream);
  return static_cast<uint64_t>(words[1]) << 32 | words[0];
}

double Random::uniform() { return static_cast<double>(bits() >> 11) * kTwoToMinus53; }

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

int64_t Random::integer(int64_t count) {
  require(count >= 1, "random integer", "the range must hold at least one value");
  const uint64_t range = static_cast<uint64_t>(count);
  const uint64_t limit = UINT64_MAX - UINT64_MAX % range;
  uint64_t draw = bits();
  while (draw >= limit) draw = bits();
  return static_cast<int64_t>(draw % range);
}

}  // namespace longwave
