// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace longwave::runtime {

/// A 64-bit hash of bytes that goes on from `hash`: FNV-1a over words of 8 bytes, each mixed by a
/// rotation; the last word is filled up with zeros and followed by the length.
///
/// Detects accidents, not attacks. The same on every little-endian machine.
inline uint64_t hash_bytes(std::span<const std::byte> bytes, uint64_t hash = 0xcbf29ce484222325) {
  constexpr uint64_t kPrime = 0x100000001b3;
  const auto mix = [&hash](uint64_t word) {
    hash = (hash ^ word) * kPrime;
    hash ^= std::rotl(hash, 29);
  };
  for (size_t i = 0; i < bytes.size(); i += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min(sizeof(word), bytes.size() - i));
    mix(word);
  }
  mix(bytes.size());
  return hash;
}

/// As `hash_bytes`, four words at a time side by side: for what is large.
inline uint64_t hash_much(std::span<const std::byte> bytes) {
  constexpr uint64_t kPrime = 0x100000001b3;
  constexpr size_t kBlock = 4 * sizeof(uint64_t);
  uint64_t lanes[4] = {0xcbf29ce484222325, 1, 2, 3};
  const size_t whole = bytes.size() / kBlock * kBlock;
  for (size_t i = 0; i < whole; i += kBlock) {
    uint64_t words[4];
    std::memcpy(words, bytes.data() + i, kBlock);
    for (int j = 0; j < 4; ++j) {
      lanes[j] = (lanes[j] ^ words[j]) * kPrime;
      lanes[j] ^= std::rotl(lanes[j], 29);
    }
  }
  return hash_bytes(bytes.subspan(whole), hash_bytes(std::as_bytes(std::span(lanes))));
}

}  // namespace longwave::runtime
