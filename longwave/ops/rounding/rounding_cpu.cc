// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/rounding/rounding_cpu.h"

#include <algorithm>

#include "longwave/base/half.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/rounding/rounding.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/rounding/rounding_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// A group is a whole number of vectors.
using Tag = hn::CappedTag<float, 32>;
using BitsTag = hn::RebindToSigned<Tag>;

void round_bfloat16(float* x, int64_t count) {
  const Tag d;
  const hn::RebindToUnsigned<Tag> du;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto value = hn::LoadU(d, x + i);
    const auto bits = hn::BitCast(du, value);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
    const auto sum = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
    const auto rounded = hn::BitCast(d, hn::And(sum, hn::Set(du, 0xffff0000u)));
    const auto quiet = hn::And(hn::Or(bits, hn::Set(du, 0x400000)), hn::Set(du, 0xffff0000u));
    hn::StoreU(hn::IfThenElse(hn::IsNaN(value), hn::BitCast(d, quiet), rounded), d, x + i);
  }
  for (; i < count; ++i) x[i] = from_bfloat16(to_bfloat16(x[i]));
}

void round_group(float* x) {
  const Tag d;
  const BitsTag di;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  // Bits of numbers without a sign are ordered as the numbers are, NaN above all.
  auto most = hn::Zero(di);
  for (int64_t i = 0; i < kRoundingGroup; i += lanes) {
    most = hn::Max(most, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i))));
  }
  const auto largest = static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, most)));
  const float step = int8_step(largest);
  const auto s = hn::Set(d, step);
  const bool divides = step > 0;
  for (int64_t i = 0; i < kRoundingGroup; i += lanes) {
    const auto q = divides ? hn::Round(hn::Div(hn::LoadU(d, x + i), s)) : hn::Zero(d);
    // Integers know no negative zero.
    hn::StoreU(hn::Mul(hn::Add(q, hn::Zero(d)), s), d, x + i);
  }
}

void round_int8(float* x, int64_t count) {
  for (; count >= kRoundingGroup; count -= kRoundingGroup, x += kRoundingGroup) round_group(x);
  const float step = int8_step({x, static_cast<size_t>(count)});
  for (int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(int8_of(x[i], step)) * step;
}

}  // namespace
}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(round_bfloat16);
HWY_EXPORT(round_int8);

namespace {

/// Calls kernel(x, count) for pieces of whole groups.
template <typename Kernel>
void in_pieces(std::span<float> x, const Kernel& kernel) {
  constexpr int64_t kGrain = 1 << 10;  // groups that are worth a thread
  const int64_t size = std::ssize(x), groups = (size + kRoundingGroup - 1) / kRoundingGroup;
  parallel_for(groups, kGrain, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kRoundingGroup;
    kernel(x.data() + first, std::min(end * kRoundingGroup, size) - first);
  });
}

}  // namespace

void round_to_bfloat16(std::span<float> x) { in_pieces(x, HWY_DYNAMIC_DISPATCH(round_bfloat16)); }

void round_to_int8(std::span<float> x) { in_pieces(x, HWY_DYNAMIC_DISPATCH(round_int8)); }

}  // namespace longwave::ops
#endif
