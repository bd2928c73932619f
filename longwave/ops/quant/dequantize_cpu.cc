// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <type_traits>

#include "longwave/base/assert.h"
#include "longwave/base/half.h"
#include "longwave/ops/quant/block_layout.h"
#include "longwave/ops/quant/quant_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/quant/dequantize_cpu.cc"
#include <hwy/foreach_target.h>
// Highway asks for this order.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The loops over a block have fixed lengths and no branches: the compiler makes vectors of them
// for each target.

void decode(const BlockQ8_0& block, float* HWY_RESTRICT y) {
  const float d = from_float16(block.d);
  for (int i = 0; i < 32; ++i) y[i] = d * static_cast<float>(block.q[i]);
}

void decode(const BlockQ4_0& block, float* HWY_RESTRICT y) {
  const float d = from_float16(block.d);
  for (int i = 0; i < 16; ++i) y[i] = d * static_cast<float>((block.q[i] & 15) - 8);
  for (int i = 0; i < 16; ++i) y[i + 16] = d * static_cast<float>((block.q[i] >> 4) - 8);
}

void decode(const BlockQ4_K& block, float* HWY_RESTRICT y) {
  const SubScales sub = unpack(block.scales);
  const float d = from_float16(block.d), dmin = from_float16(block.dmin);
  for (int pair = 0; pair < 4; ++pair) {
    const uint8_t* HWY_RESTRICT q = block.q + 32 * pair;
    float* HWY_RESTRICT low = y + 64 * pair;
    float* HWY_RESTRICT high = low + 32;
    const float low_scale = d * sub.scale[2 * pair], high_scale = d * sub.scale[2 * pair + 1];
    const float low_least = dmin * sub.least[2 * pair], high_least = dmin * sub.least[2 * pair + 1];
    for (int i = 0; i < 32; ++i) low[i] = low_scale * static_cast<float>(q[i] & 15) - low_least;
    for (int i = 0; i < 32; ++i) high[i] = high_scale * static_cast<float>(q[i] >> 4) - high_least;
  }
}

void decode(const BlockQ6_K& block, float* HWY_RESTRICT y) {
  const float d = from_float16(block.d);
  for (int part = 0; part < 8; ++part) {
    const uint8_t* HWY_RESTRICT low = block.low + part / 4 * 64 + part % 2 * 32;
    const uint8_t* HWY_RESTRICT high = block.high + part / 4 * 32;
    const int low_shift = part % 4 / 2 * 4, high_shift = part % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      const float scale = d * static_cast<float>(block.scale[2 * part + half]);
      float* HWY_RESTRICT out = y + 32 * part + 16 * half;
      for (int i = 0; i < 16; ++i) {
        const int at = 16 * half + i;
        const int number = (low[at] >> low_shift & 15) | (high[at] >> high_shift & 3) << 4;
        out[i] = scale * static_cast<float>(number - 32);
      }
    }
  }
}

template <typename Block>
void decode_blocks(const std::byte* data, int64_t count, float* HWY_RESTRICT y) {
  constexpr int64_t kElements = sizeof(Block) <= 34 ? 32 : 256;
  const auto* blocks = reinterpret_cast<const Block*>(data);
  for (int64_t i = 0; i < count / kElements; ++i) decode(blocks[i], y + i * kElements);
}

template <typename Half>
void decode_halves(const std::byte* data, int64_t count, float* HWY_RESTRICT y) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<Half, decltype(d)> half;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const Half* HWY_RESTRICT from = reinterpret_cast<const Half*>(data);
  const uint16_t* HWY_RESTRICT bits = reinterpret_cast<const uint16_t*>(data);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(half, from + i)), d, y + i);
  }
  for (; i < count; ++i) {
    y[i] = std::is_same_v<Half, hwy::float16_t> ? from_float16(bits[i]) : from_bfloat16(bits[i]);
  }
}

void decode_row(DType dtype, const std::byte* data, int64_t count, float* y) {
  switch (dtype) {
    case DType::kFloat16:
      return decode_halves<hwy::float16_t>(data, count, y);
    case DType::kBFloat16:
      return decode_halves<hwy::bfloat16_t>(data, count, y);
    case DType::kQ8_0:
      return decode_blocks<BlockQ8_0>(data, count, y);
    case DType::kQ4_0:
      return decode_blocks<BlockQ4_0>(data, count, y);
    case DType::kQ4_K:
      return decode_blocks<BlockQ4_K>(data, count, y);
    case DType::kQ6_K:
      return decode_blocks<BlockQ6_K>(data, count, y);
    default:
      LONGWAVE_ASSERT(dtype == DType::kFloat32, "not a type for weights");
      std::memcpy(y, data, static_cast<size_t>(count) * sizeof(float));
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(decode_row);

void dequantize_row_cpu(DType dtype, const std::byte* data, int64_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(decode_row)(dtype, data, count, y);
}

}  // namespace longwave::ops
#endif
