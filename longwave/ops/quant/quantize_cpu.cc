// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "longwave/base/half.h"
#include "longwave/ops/quant/block_layout.h"
#include "longwave/ops/quant/quant_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/quant/quantize_cpu.cc"
#include <hwy/foreach_target.h>
// Highway asks for this order.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {

// Numbers below this are stored as zero: no float16 scale reaches them.
constexpr float kNothing = 1e-20f;

constexpr float kNever = std::numeric_limits<float>::infinity();

/// To the nearest integer, ties to even, for |x| < 2^22: what compilers make vectors of.
HWY_INLINE float rounded(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

HWY_INLINE float clamped(float x, float low, float high) {
  return std::min(std::max(x, low), high);
}

HWY_INLINE float square(float x) { return x * x; }

/// The least float16 that is not below x >= 0.
uint16_t float16_above(float x) {
  const uint16_t bits = to_float16(x);
  return from_float16(bits) < x ? static_cast<uint16_t>(bits + 1) : bits;
}

bool is_finite16(uint16_t bits) { return (bits & 0x7c00) != 0x7c00; }

float largest(const float* x, int count) {
  float result = 0;
  for (int i = 0; i < count; ++i) result = std::max(result, std::abs(x[i]));
  return result;
}

/// The number of largest magnitude, with its sign.
float extreme(const float* x, int count) {
  float result = 0;
  for (int i = 0; i < count; ++i) {
    if (std::abs(x[i]) > std::abs(result)) result = x[i];
  }
  return result;
}

bool encode(const float* x, BlockQ8_0& block) {
  block.d = float16_above(largest(x, 32) / 127);
  const float d = from_float16(block.d);
  const float inverse = d > 0 ? 1 / d : 0;
  for (int i = 0; i < 32; ++i) {
    block.q[i] = static_cast<int8_t>(clamped(rounded(x[i] * inverse), -127, 127));
  }
  return is_finite16(block.d);
}

/// How numbers fare as scale times integers in [low, high].
struct Fit {
  float scale = 0;     // of least squares for the integers that the trial scale gives
  float error = 0;     // sum of squares that the trial scale leaves
  float farthest = 0;  // largest error that it leaves
};

Fit try_scale(const float* x, int count, float scale, float low, float high) {
  const float inverse = 1 / scale;
  Fit fit;
  float xq = 0, qq = 0;
  for (int i = 0; i < count; ++i) {
    const float q = clamped(rounded(x[i] * inverse), low, high);
    const float error = std::abs(x[i] - scale * q);
    xq += x[i] * q;
    qq += q * q;
    fit.error += error * error;
    fit.farthest = std::max(fit.farthest, error);
  }
  fit.scale = qq > 0 ? xq / qq : scale;
  return fit;
}

bool encode(const float* x, BlockQ4_0& block) {
  const float top = extreme(x, 32);
  block = {};
  if (std::abs(top) < kNothing) return true;
  uint16_t best = to_float16(top / -8);
  if (!is_finite16(best)) return false;
  float least = kNever;
  const float allowed = std::abs(top) / 8 * (1 + 0x1p-9f);
  const auto consider = [&](float scale) {
    const uint16_t bits = to_float16(scale);
    const float d = from_float16(bits);
    if (d == 0 || !is_finite16(bits)) return scale;
    const Fit fit = try_scale(x, 32, d, -8, 7);
    if (fit.error < least && (fit.farthest <= allowed || least == kNever)) {
      least = fit.error;
      best = bits;
    }
    return fit.scale;
  };
  consider(top / -8);
  for (int trial = -4; trial <= 6; ++trial) {
    consider(consider(top / (-8.0f + 0.25f * static_cast<float>(trial))));
  }
  consider(consider(top / 7.5f));
  block.d = best;
  const float d = from_float16(best), inverse = d != 0 ? 1 / d : 0;
  const auto nibble = [&](float v) {
    return static_cast<unsigned>(clamped(rounded(v * inverse), -8, 7) + 8);
  };
  for (int i = 0; i < 16; ++i) {
    block.q[i] = static_cast<uint8_t>(nibble(x[i]) | nibble(x[i + 16]) << 4);
  }
  return true;
}

/// x = scale n - least with n in [0, 15].
struct Affine {
  float scale = 0;
  float least = 0;
};

HWY_INLINE float number_of(float x, const Affine& form, float inverse) {
  return clamped(rounded((x + form.least) * inverse), 0, 15);
}

float error_of(const float* x, const Affine& form) {
  const float inverse = form.scale > 0 ? 1 / form.scale : 0;
  float error = 0;
  for (int i = 0; i < 32; ++i) {
    error += square(form.scale * number_of(x[i], form, inverse) - form.least - x[i]);
  }
  return error;
}

/// Least squares for the numbers that `form` gives.
Affine refit(const float* x, const Affine& form) {
  const float inverse = form.scale > 0 ? 1 / form.scale : 0;
  float n1 = 0, n2 = 0, x1 = 0, nx = 0;
  for (int i = 0; i < 32; ++i) {
    const float n = number_of(x[i], form, inverse);
    n1 += n;
    n2 += n * n;
    x1 += x[i];
    nx += n * x[i];
  }
  const float determinant = 32 * n2 - n1 * n1;
  if (!(determinant > 0)) return form;
  Affine result;
  result.scale = (32 * nx - n1 * x1) / determinant;
  result.least = (result.scale * n1 - x1) / 32;
  if (result.least < 0) result = {.scale = nx / n2, .least = 0};
  return result.scale > 0 ? result : form;
}

Affine best_affine(const float* x) {
  const float low = std::min(*std::min_element(x, x + 32), 0.0f);
  const float high = std::max(*std::max_element(x, x + 32), 0.0f);
  if (high - low < kNothing) return {};
  Affine best;
  float least = kNever;
  const auto consider = [&](const Affine& form) {
    const float error = error_of(x, form);
    if (error < least) {
      least = error;
      best = form;
    }
  };
  for (int trial = 0; trial < 6; ++trial) {
    const float shrink = 0.5f * 0.04f * static_cast<float>(trial) * (high - low);
    Affine form{.scale = (high - low - 2 * shrink) / 15, .least = std::max(-low - shrink, 0.0f)};
    consider(form);
    for (int round = 0; round < 2; ++round) consider(form = refit(x, form));
  }
  return best;
}

/// The best pair of 6-bit numbers near those that stand for `form`.
void settle(const float* x, const Affine& form, float d, float dmin, uint8_t& scale,
            uint8_t& least) {
  const float at_scale = d > 0 ? rounded(form.scale / d) : 0;
  const float at_least = dmin > 0 ? rounded(form.least / dmin) : 0;
  float best = kNever;
  for (int i = -1; i <= 1; ++i) {
    for (int j = -1; j <= 1; ++j) {
      const float s = clamped(at_scale + static_cast<float>(i), 0, 63);
      const float m = clamped(at_least + static_cast<float>(j), 0, 63);
      const float error = error_of(x, {.scale = d * s, .least = dmin * m});
      if (error >= best) continue;
      best = error;
      scale = static_cast<uint8_t>(s);
      least = static_cast<uint8_t>(m);
    }
  }
}

bool encode(const float* x, BlockQ4_K& block) {
  Affine forms[8];
  float most_scale = 0, most_least = 0;
  for (int s = 0; s < 8; ++s) {
    forms[s] = best_affine(x + 32 * s);
    most_scale = std::max(most_scale, forms[s].scale);
    most_least = std::max(most_least, forms[s].least);
  }
  block.d = float16_above(most_scale / 63);
  block.dmin = float16_above(most_least / 63);
  const float d = from_float16(block.d), dmin = from_float16(block.dmin);
  if (!is_finite16(block.d) || !is_finite16(block.dmin)) return false;
  SubScales sub;
  uint8_t numbers[256];
  for (int s = 0; s < 8; ++s) {
    const float* from = x + 32 * s;
    settle(from, forms[s], d, dmin, sub.scale[s], sub.least[s]);
    const Affine form{.scale = d * sub.scale[s], .least = dmin * sub.least[s]};
    const float inverse = form.scale > 0 ? 1 / form.scale : 0;
    for (int i = 0; i < 32; ++i) {
      numbers[32 * s + i] = static_cast<uint8_t>(number_of(from[i], form, inverse));
    }
  }
  pack(sub, block.scales);
  for (int i = 0; i < 128; ++i) {
    const int low = i / 32 * 64 + i % 32;
    block.q[i] = static_cast<uint8_t>(numbers[low] | numbers[low + 32] << 4);
  }
  return true;
}

/// The scale, of either sign, that serves 16 numbers best.
float best_scale(const float* x) {
  const float top = extreme(x, 16);
  if (std::abs(top) < kNothing) return 0;
  float best = 0, least = kNever;
  const auto consider = [&](float scale) {
    const Fit fit = try_scale(x, 16, scale, -32, 31);
    if (fit.error < least) {
      least = fit.error;
      best = scale;
    }
    return fit.scale;
  };
  for (int trial = -4; trial <= 4; ++trial) {
    const float scale = top / (-32.0f + 0.5f * static_cast<float>(trial));
    const float refined = consider(scale);
    if (refined != 0) consider(refined);
  }
  return best;
}

bool encode(const float* x, BlockQ6_K& block) {
  float scales[16];
  for (int s = 0; s < 16; ++s) scales[s] = best_scale(x + 16 * s);
  block = {};
  block.d = float16_above(largest(scales, 16) / 127);
  const float d = from_float16(block.d);
  if (!is_finite16(block.d)) return false;
  if (d == 0) return true;
  for (int s = 0; s < 16; ++s) {
    const float* from = x + 16 * s;
    const float at = rounded(scales[s] / d);
    float least = kNever;
    for (int i = -1; i <= 1; ++i) {
      const float scale = clamped(at + static_cast<float>(i), -128, 127);
      if (scale == 0 && at != 0) continue;
      const float error = scale == 0 ? 0.0f : try_scale(from, 16, d * scale, -32, 31).error;
      if (error >= least) continue;
      least = error;
      block.scale[s] = static_cast<int8_t>(scale);
    }
    const float unit = d * static_cast<float>(block.scale[s]);
    const float inverse = unit != 0 ? 1 / unit : 0;
    for (int i = 0; i < 16; ++i) {
      const int at_number = 16 * s + i, half = at_number / 128, part = at_number % 128 / 32;
      const int number = static_cast<int>(clamped(rounded(from[i] * inverse), -32, 31)) + 32;
      uint8_t& low = block.low[half * 64 + part % 2 * 32 + at_number % 32];
      low = static_cast<uint8_t>(low | (number & 15) << (part < 2 ? 0 : 4));
      uint8_t& high = block.high[half * 32 + at_number % 32];
      high = static_cast<uint8_t>(high | (number >> 4) << (2 * part));
    }
  }
  return true;
}

template <typename Block>
bool encode_blocks(const float* x, int64_t count, std::byte* out) {
  constexpr int64_t kElements = sizeof(Block) <= 34 ? 32 : 256;
  auto* blocks = reinterpret_cast<Block*>(out);
  bool fits = true;
  for (int64_t i = 0; i < count / kElements; ++i) {
    fits = encode(x + i * kElements, blocks[i]) && fits;
  }
  return fits;
}

bool encode_float16(const float* x, int64_t count, uint16_t* out) {
  bool fits = true;
  for (int64_t i = 0; i < count; ++i) {
    out[i] = to_float16(x[i]);
    fits = is_finite16(out[i]) && fits;
  }
  return fits;
}

bool encode_bfloat16(const float* x, int64_t count, uint16_t* out) {
  bool fits = true;
  for (int64_t i = 0; i < count; ++i) {
    out[i] = to_bfloat16(x[i]);
    fits = (out[i] & 0x7f80) != 0x7f80 && fits;
  }
  return fits;
}

bool encode_row(DType dtype, const float* x, int64_t count, std::byte* out) {
  switch (dtype) {
    case DType::kFloat16:
      return encode_float16(x, count, reinterpret_cast<uint16_t*>(out));
    case DType::kBFloat16:
      return encode_bfloat16(x, count, reinterpret_cast<uint16_t*>(out));
    case DType::kQ8_0:
      return encode_blocks<BlockQ8_0>(x, count, out);
    case DType::kQ4_0:
      return encode_blocks<BlockQ4_0>(x, count, out);
    case DType::kQ4_K:
      return encode_blocks<BlockQ4_K>(x, count, out);
    case DType::kQ6_K:
      return encode_blocks<BlockQ6_K>(x, count, out);
    default:
      std::memcpy(out, x, static_cast<size_t>(count) * sizeof(float));
      return true;
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(encode_row);

bool quantize_row_cpu(DType dtype, const float* x, int64_t count, std::byte* out) {
  return HWY_DYNAMIC_DISPATCH(encode_row)(dtype, x, count, out);
}

}  // namespace longwave::ops
#endif
