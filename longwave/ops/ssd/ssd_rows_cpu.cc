// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/ops/ssd/ssd_product.h"
#include "longwave/ops/ssd/ssd_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/ssd/ssd_rows_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/elementwise/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {

using Tag = hn::CappedTag<float, kSsdLanes>;
using Vec = hn::Vec<Tag>;

constexpr int64_t kRow = kSsdChunk;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(Tag())); }

// `count` numbers, at most a vector, followed by zeros.
HWY_INLINE Vec load(const float* at, int64_t count) {
  const Tag d;
  if (count >= lanes()) return hn::LoadU(d, at);
  HWY_ALIGN float buffer[kSsdLanes] = {};
  std::copy_n(at, count, buffer);
  return hn::Load(d, buffer);
}

HWY_INLINE void store(Vec value, float* at, int64_t count) {
  const Tag d;
  if (count >= lanes()) {
    hn::StoreU(value, d, at);
    return;
  }
  HWY_ALIGN float buffer[kSsdLanes];
  hn::Store(value, d, buffer);
  std::copy_n(buffer, count, at);
}

HWY_ATTR void fill_factors(SsdDecays& f) {
  const Tag d;
  const Vec high = hn::Set(d, f.high[kRow - 1]), low = hn::Set(d, f.low[kRow - 1]);
  for (int64_t j = 0; j < kRow; j += lanes()) {
    const Vec here = hn::Load(d, f.high + j), left = hn::Load(d, f.low + j);
    hn::Store(exp_vector(d, hn::Add(here, left)), d, f.decay + j);
    const Vec rest = hn::Add(hn::Sub(high, here), hn::Sub(low, left));
    hn::Store(exp_vector(d, rest), d, f.rest + j);
  }
}

HWY_INLINE Vec limited(Vec size, const SsdLimits<float>& limits) {
  const Tag d;
  return hn::Min(hn::Max(size, hn::Set(d, limits.least)), hn::Set(d, limits.most));
}

HWY_ATTR void step_sizes(int64_t count, const float* raw, const SsdLimits<float>& limits,
                         float* out) {
  const Tag d;
  for (int64_t j = 0; j < count; j += lanes()) {
    const Vec size = softplus_vector(d, load(raw + j, count - j));
    store(limited(size, limits), out + j, count - j);
  }
}

HWY_ATTR void step_sizes_grad(int64_t count, const float* raw, const SsdLimits<float>& limits,
                              float* dd) {
  const Tag d;
  for (int64_t j = 0; j < count; j += lanes()) {
    const Vec x = load(raw + j, count - j), size = softplus_vector(d, x);
    const auto free = hn::Eq(size, limited(size, limits));
    const Vec value = hn::Mul(load(dd + j, count - j), sigmoid_vector(d, x));
    store(hn::IfThenElseZero(free, value), dd + j, count - j);
  }
}

// The decay from the steps at s on to step t, and zero for steps after t.
HWY_INLINE Vec decay_to(const SsdDecays& f, Vec high, Vec low, int64_t t, int64_t s) {
  const Tag d;
  const Vec exponent =
      hn::Add(hn::Sub(high, hn::Load(d, f.high + s)), hn::Sub(low, hn::Load(d, f.low + s)));
  const Vec decay = exp_vector(d, exponent);
  if (s + lanes() <= t + 1) return decay;
  return hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(t + 1 - s)), decay);
}

HWY_ATTR void mask(int64_t count, const SsdDecays& f, const float* M, float* W) {
  const Tag d;
  for (int64_t t = 0; t < count; ++t) {
    const Vec high = hn::Set(d, f.high[t]), low = hn::Set(d, f.low[t]);
    int64_t s = 0;
    for (; s <= t; s += lanes()) {
      const Vec decay = decay_to(f, high, low, t, s);
      const auto used = hn::Ne(decay, hn::Zero(d));
      const Vec product = hn::Mul(decay, hn::LoadU(d, M + t * kRow + s));
      hn::StoreU(hn::IfThenElseZero(used, product), d, W + t * kRow + s);
    }
    for (; s < ssd_padded(t + 1); s += lanes()) hn::StoreU(hn::Zero(d), d, W + t * kRow + s);
  }
}

HWY_ATTR void mask_grad(const SsdMaskGrad& f) {
  const Tag d;
  HWY_ALIGN float sums[kRow] = {};
  const int64_t padded = ssd_padded(f.count);
  for (int64_t t = f.count - 1; t >= 0; --t) {
    const SsdDecays& decays = *f.decays;
    const Vec high = hn::Set(d, decays.high[t]), low = hn::Set(d, decays.low[t]);
    const float* M_row = f.M + t * kRow;
    const float* G_row = f.G + t * kRow;
    float* dM_row = f.dM + t * kRow;
    float* W_row = f.W + t * kRow;
    Vec memory = hn::Zero(d);
    int64_t s = 0;
    for (; s <= t; s += lanes()) {
      const auto causal = hn::FirstN(d, static_cast<size_t>(t + 1 - s));
      const auto before = hn::FirstN(d, static_cast<size_t>(std::max<int64_t>(t - s, 0)));
      const Vec L = decay_to(decays, high, low, t, s);
      const Vec M = hn::IfThenElseZero(causal, hn::LoadU(d, M_row + s));
      const Vec G = hn::IfThenElseZero(causal, hn::LoadU(d, G_row + s));
      const Vec g = hn::Mul(hn::Mul(G, hn::Load(d, decays.d + s)), L);
      hn::StoreU(hn::Add(hn::LoadU(d, dM_row + s), g), d, dM_row + s);
      const Vec sum = hn::MulAdd(g, M, hn::Load(d, sums + s));
      hn::Store(sum, d, sums + s);
      memory = hn::Add(memory, hn::IfThenElseZero(before, sum));
      hn::StoreU(hn::Mul(M, L), d, W_row + s);
    }
    for (; s < padded; s += lanes()) hn::StoreU(hn::Zero(d), d, W_row + s);
    f.e[t] = hn::GetLane(hn::SumOfLanes(d, memory));
  }
}

HWY_ATTR void scale_rows(const SsdScaleRows& f) {
  const Tag d;
  for (int64_t t = 0; t < f.rows; ++t) {
    const Vec scale = hn::Set(d, f.scale == nullptr ? 1.0f : f.scale[t]);
    for (int64_t j = 0; j < ssd_padded(f.columns); j += lanes()) {
      const Vec in = load(f.in.data + t * f.in.row + j, std::max<int64_t>(f.columns - j, 0));
      float* out = f.out + t * f.out_row + j;
      hn::StoreU(hn::Mul(scale, in), d, out);
    }
  }
}

HWY_ATTR void skip_rows(const SsdSkipRows& f) {
  const Tag d;
  for (int64_t t = 0; t < f.rows; ++t) {
    const Vec scale = hn::Set(d, f.scale == nullptr ? 1.0f : f.scale[t]);
    const float* in = f.in.data + t * f.in.row;
    const float* x = f.x.data + t * f.x.row;
    const float* z = f.z.data + t * f.z.row;
    float* out = f.out + t * f.out_row;
    for (int64_t j = 0; j < f.columns; j += lanes()) {
      const int64_t count = f.columns - j;
      Vec value = hn::Mul(scale, load(in + j, count));
      const Vec factor = load(x + j, count);
      if (f.D != nullptr) value = hn::MulAdd(load(f.D + j, count), factor, value);
      store(value, out + j, count);
      if (f.dD == nullptr) continue;
      store(hn::MulAdd(factor, load(z + j, count), load(f.dD + j, count)), f.dD + j, count);
    }
  }
}

HWY_ATTR void dot_rows(const SsdDotRows& f) {
  const Tag d;
  for (int64_t t = 0; t < f.rows; ++t) {
    const Vec scale = hn::Set(d, f.scale[t]);
    Vec sum = hn::Zero(d);
    for (int64_t j = 0; j < f.columns; j += lanes()) {
      const Vec value = hn::Mul(scale, hn::LoadU(d, f.in.data + t * f.in.row + j));
      float* out = f.out + t * f.out_row + j;
      hn::StoreU(hn::Add(value, hn::LoadU(d, out)), d, out);
      sum = hn::MulAdd(value, hn::LoadU(d, f.with.data + t * f.with.row + j), sum);
    }
    f.dot[t] = hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

HWY_ATTR void dot_columns(int64_t rows, int64_t columns, const float* x, const float* y,
                          float* dot) {
  const Tag d;
  for (int64_t j = 0; j < columns; j += lanes()) {
    Vec sum = hn::Zero(d);
    for (int64_t i = 0; i < rows; ++i) {
      sum = hn::MulAdd(hn::LoadU(d, x + i * kRow + j), hn::LoadU(d, y + i * kRow + j), sum);
    }
    hn::StoreU(sum, d, dot + j);
  }
}

HWY_ATTR float dot(int64_t count, const float* x, const float* y) {
  const Tag d;
  Vec sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  int64_t i = 0;
  for (; i + 4 * lanes() <= count; i += 4 * lanes()) {
    for (int k = 0; k < 4; ++k) {
      const int64_t at = i + k * lanes();
      sums[k] = hn::MulAdd(hn::LoadU(d, x + at), hn::LoadU(d, y + at), sums[k]);
    }
  }
  for (; i < count; i += lanes()) {
    sums[0] = hn::MulAdd(hn::LoadU(d, x + i), hn::LoadU(d, y + i), sums[0]);
  }
  return hn::GetLane(
      hn::SumOfLanes(d, hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]))));
}

HWY_ATTR float step_row(const SsdStepRow& f) {
  const Tag d;
  const Vec decay = hn::Set(d, f.decay), gain = hn::Set(d, f.gain);
  Vec sum = hn::Zero(d);
  for (int64_t j = 0; j < f.count; j += lanes()) {
    const int64_t count = f.count - j;
    const Vec input = hn::Mul(gain, load(f.B + j, count));
    // A start forgets even what is not a number.
    const Vec h = f.decay == 0 ? input : hn::MulAdd(decay, load(f.h + j, count), input);
    store(h, f.h + j, count);
    sum = hn::MulAdd(h, load(f.C + j, count), sum);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(fill_factors);
HWY_EXPORT(step_sizes);
HWY_EXPORT(step_sizes_grad);
HWY_EXPORT(mask);
HWY_EXPORT(mask_grad);
HWY_EXPORT(scale_rows);
HWY_EXPORT(skip_rows);
HWY_EXPORT(dot_rows);
HWY_EXPORT(dot_columns);
HWY_EXPORT(dot);
HWY_EXPORT(step_row);

void ssd_fill_decays(int64_t count, float A, SsdDecays& f) {
  double exponent = 0;
  for (int64_t t = 0; t < count; ++t) {
    exponent += static_cast<double>(f.d[t]) * A;
    f.high[t] = static_cast<float>(exponent);
    f.low[t] = static_cast<float>(exponent - f.high[t]);
  }
  const float high = count > 0 ? f.high[count - 1] : 0, low = count > 0 ? f.low[count - 1] : 0;
  std::fill(f.high + count, f.high + kSsdChunk, high);
  std::fill(f.low + count, f.low + kSsdChunk, low);
  HWY_DYNAMIC_DISPATCH(fill_factors)(f);
  f.total = f.decay[kSsdChunk - 1];
}

void ssd_step_sizes(int64_t count, const float* raw, const SsdLimits<float>& limits, float* d) {
  HWY_DYNAMIC_DISPATCH(step_sizes)(count, raw, limits, d);
}

void ssd_step_sizes_grad(int64_t count, const float* raw, const SsdLimits<float>& limits,
                         float* dd) {
  HWY_DYNAMIC_DISPATCH(step_sizes_grad)(count, raw, limits, dd);
}

void ssd_mask(int64_t count, const SsdDecays& decays, const float* M, float* W) {
  HWY_DYNAMIC_DISPATCH(mask)(count, decays, M, W);
}

void ssd_mask_grad(const SsdMaskGrad& f) { HWY_DYNAMIC_DISPATCH(mask_grad)(f); }

void ssd_scale_rows(const SsdScaleRows& f) { HWY_DYNAMIC_DISPATCH(scale_rows)(f); }

void ssd_skip_rows(const SsdSkipRows& f) { HWY_DYNAMIC_DISPATCH(skip_rows)(f); }

void ssd_dot_rows(const SsdDotRows& f) { HWY_DYNAMIC_DISPATCH(dot_rows)(f); }

void ssd_dot_columns(int64_t rows, int64_t columns, const float* x, const float* y, float* dot) {
  HWY_DYNAMIC_DISPATCH(dot_columns)(rows, columns, x, y, dot);
}

float ssd_dot(int64_t count, const float* x, const float* y) {
  return HWY_DYNAMIC_DISPATCH(dot)(count, x, y);
}

float ssd_step_row(const SsdStepRow& f) { return HWY_DYNAMIC_DISPATCH(step_row)(f); }

}  // namespace longwave::ops
#endif
