// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace longwave::ops {

/// What lies in the bytes of each blocked DType: the layouts that GGUF gives types of these names.
/// Scales are float16 bits; a block starts at any even byte.
///
/// Source     the GGUF specification and the layouts of ggml (Q8_0, Q4_0, Q4_K, Q6_K).

/// x[i] = d q[i]
struct BlockQ8_0 {
  uint16_t d;
  int8_t q[32];
};

/// x[i] = d (n[i] - 8); the low nibbles of q are n[0..15], the high ones n[16..31].
struct BlockQ4_0 {
  uint16_t d;
  uint8_t q[16];
};

/// 8 sub-blocks of 32: x = d scale[s] n - dmin least[s], with scale and least of 6 bits.
///
///   scales[s], scales[s + 4]   for s < 4: scale and least of s in the low 6 bits; the upper 2 bits
///                              are the upper bits of scale and least of s + 4
///   scales[s + 8]              for s < 4: the low 4 bits of scale (low) and least (high) of s + 4
///   q[32 p + i]                the numbers i of sub-blocks 2 p (low nibble) and 2 p + 1 (high)
struct BlockQ4_K {
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t q[128];
};

/// 16 sub-blocks of 16: x = d scale[s] (n - 32), with n of 6 bits.
///
///   low[64 h + i], high[32 h + i]   the low 4 and upper 2 bits of half h of the block: nibbles of
///                                   low are numbers i (low) and 64 + i (high), pairs of bits of
///                                   high are numbers i, 32 + i, 64 + i and 96 + i
struct BlockQ6_K {
  uint8_t low[128];
  uint8_t high[64];
  int8_t scale[16];
  uint16_t d;
};

static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_0) == 18);
static_assert(sizeof(BlockQ4_K) == 144 && sizeof(BlockQ6_K) == 210);

/// The 6-bit scales and offsets of the sub-blocks of a Q4_K block.
struct SubScales {
  uint8_t scale[8];
  uint8_t least[8];
};

inline SubScales unpack(const uint8_t (&packed)[12]) {
  // Four bytes a word: the same for any order of bytes in it.
  uint32_t words[3], result[4];
  std::memcpy(words, packed, sizeof words);
  result[0] = words[0] & 0x3f3f3f3f;
  result[1] = (words[2] & 0x0f0f0f0f) | (words[0] >> 2 & 0x30303030);
  result[2] = words[1] & 0x3f3f3f3f;
  result[3] = (words[2] >> 4 & 0x0f0f0f0f) | (words[1] >> 2 & 0x30303030);
  return std::bit_cast<SubScales>(result);
}

inline void pack(const SubScales& from, uint8_t (&packed)[12]) {
  for (int s = 0; s < 4; ++s) {
    packed[s] = static_cast<uint8_t>(from.scale[s] | (from.scale[s + 4] >> 4 << 6));
    packed[s + 4] = static_cast<uint8_t>(from.least[s] | (from.least[s + 4] >> 4 << 6));
    packed[s + 8] = static_cast<uint8_t>((from.scale[s + 4] & 15) | (from.least[s + 4] & 15) << 4);
  }
}

}  // namespace longwave::ops
