// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "longwave/io/gguf.h"

/// What reader and writer of GGUF share.
namespace longwave::io {

inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr uint64_t kGgufAlignment = 32;      // where the metadata name no other
inline constexpr const char* kGgufAlignmentKey = "general.alignment";
inline constexpr size_t kGgufMostExtents = 4;

/// Bytes of a tensor; nothing if they overflow or the last extent splits a block.
std::optional<uint64_t> gguf_bytes(const GgufType& type, const Shape& shape);

/// The next multiple of the alignment, a power of two.
constexpr uint64_t aligned(uint64_t offset, uint64_t alignment) {
  return (offset + alignment - 1) & ~(alignment - 1);
}

}  // namespace longwave::io
