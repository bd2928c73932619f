// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/philox.h"

#include <cmath>
#include <numbers>

#include "longwave/base/error.h"

namespace longwave {
namespace {

constexpr int kRounds = 10;
constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
constexpr double kTwoToMinus53 = 0x1p-53;

uint32_t low32(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high32(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

}  // namespace

std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_low, uint64_t counter_high) {
  std::array<uint32_t, 4> c = {low32(counter_low), high32(counter_low), low32(counter_high),
                               high32(counter_high)};
  uint32_t key0 = low32(key), key1 = high32(key);
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = kMultiplier0 * c[0];
    const uint64_t product1 = kMultiplier1 * c[2];
    c = {high32(product1) ^ c[1] ^ key0, low32(product1), high32(product0) ^ c[3] ^ key1,
         low32(product0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return c;
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
