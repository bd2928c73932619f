// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "longwave/base/half.h"
#include "longwave/ops/quant/block_layout.h"
#include "longwave/ops/quant/panels.h"
#include "longwave/ops/quant/quant.h"

namespace longwave::ops {
namespace {

/// Element `i` of a block.
double element(const BlockQ8_0& block, int64_t i) {
  return static_cast<double>(from_float16(block.d)) * block.q[i];
}

double element(const BlockQ4_0& block, int64_t i) {
  const int nibble = i < 16 ? block.q[i] & 15 : block.q[i - 16] >> 4;
  return static_cast<double>(from_float16(block.d)) * (nibble - 8);
}

double element(const BlockQ4_K& block, int64_t i) {
  const SubScales sub = unpack(block.scales);
  const int64_t s = i / 32;
  const uint8_t byte = block.q[s / 2 * 32 + i % 32];
  const int nibble = s % 2 == 0 ? byte & 15 : byte >> 4;
  return static_cast<double>(from_float16(block.d)) * sub.scale[s] * nibble -
         static_cast<double>(from_float16(block.dmin)) * sub.least[s];
}

double element(const BlockQ6_K& block, int64_t i) {
  const int64_t half = i / 128, part = i % 128 / 32, at = i % 32;
  const uint8_t low = block.low[half * 64 + part % 2 * 32 + at];
  const uint8_t high = block.high[half * 32 + at];
  const int number = (part < 2 ? low & 15 : low >> 4) | (high >> (2 * part) & 3) << 4;
  return static_cast<double>(from_float16(block.d)) * block.scale[i / 16] * (number - 32);
}

/// Blocks in a file may start at odd addresses.
template <typename Block>
Block read(const std::byte* data, int64_t index) {
  Block block;
  std::memcpy(&block, data + static_cast<size_t>(index) * sizeof(Block), sizeof(Block));
  return block;
}

}  // namespace

double dequantize_ref(const Matrix& W, int64_t row, int64_t column) {
  if (W.layout == Layout::kPanels) {
    const int64_t first = column / block_of(W.dtype).elements * block_of(W.dtype).elements;
    std::byte block[sizeof(BlockQ6_K)];
    copy_row_of_panels(W, row, first, block_of(W.dtype).elements, block);
    return dequantize_ref(Matrix(W.dtype, 1, block_of(W.dtype).elements, block), 0, column - first);
  }
  const std::byte* data = W.row(row);
  const int64_t elements = block_of(W.dtype).elements;
  const int64_t block = column / elements, i = column % elements;
  switch (W.dtype) {
    case DType::kFloat32:
      return read<float>(data, column);
    case DType::kFloat16:
      return from_float16(read<uint16_t>(data, column));
    case DType::kBFloat16:
      return from_bfloat16(read<uint16_t>(data, column));
    case DType::kQ8_0:
      return element(read<BlockQ8_0>(data, block), i);
    case DType::kQ4_0:
      return element(read<BlockQ4_0>(data, block), i);
    case DType::kQ4_K:
      return element(read<BlockQ4_K>(data, block), i);
    case DType::kQ6_K:
      return element(read<BlockQ6_K>(data, block), i);
    default:
      LONGWAVE_ASSERT(false, "not a type for weights");
      return 0;
  }
}

}  // namespace longwave::ops
