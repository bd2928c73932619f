// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_tiling.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

namespace longwave::ops {
namespace {

int64_t pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

// Calls `body` with the number of lanes of a slice, a power of two, as a constant.
template <typename Body>
void with_constant(int64_t slice_lanes, const Body& body) {
  switch (slice_lanes) {
    case 1:
      return body(std::integral_constant<int64_t, 1>());
    case 2:
      return body(std::integral_constant<int64_t, 2>());
    case 4:
      return body(std::integral_constant<int64_t, 4>());
    case 8:
      return body(std::integral_constant<int64_t, 8>());
    default:
      return body(std::integral_constant<int64_t, LtiTiling::kLanes>());
  }
}

}  // namespace

LtiTiling::LtiTiling(int64_t batch, int64_t channels, int64_t modes)
    : batch_(batch), channels_(channels), modes_(modes) {
  const int64_t width = std::clamp<int64_t>(channels, 1, kLanes);
  rows_ = std::clamp<int64_t>(batch, 1, kLanes / width);
  const auto used = std::bit_ceil(static_cast<uint64_t>(rows_ * width));
  const auto useful = std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(modes, 1)));
  slices_ = std::min<int64_t>(kLanes / static_cast<int64_t>(used), static_cast<int64_t>(useful));
  lane_modes_ = pieces(modes, slices_);
  groups_ = pieces(channels, kLanes);
  row_blocks_ = pieces(batch, rows_);
}

void LtiTiling::pack_factors(View<const std::complex<float>, 2> a,
                             View<const std::complex<float>, 2> c, float* panels) const {
  for (int64_t group = 0; group < groups_; ++group) {
    float* panel = panels + group * factor_size();
    pack(0, group, kFactors, panel, [&](const Lane& at, int64_t n) { return a(at.channel, n); });
    pack(0, group, kFactors, panel + kComplex,
         [&](const Lane& at, int64_t n) { return c(at.channel, n); });
  }
}

void LtiTiling::pack_skip(int64_t group, View<const float, 1> d, float* lanes) const {
  std::fill(lanes, lanes + kLanes, 0.0f);
  if (d.absent()) return;
  for_each_lane(0, group, [&](int64_t index, const Lane& at) {
    if (at.slice == 0) lanes[index] = d(at.channel);
  });
}

void LtiTiling::load(View<const float, 3> from, int64_t row_block, int64_t group, int64_t begin,
                     int64_t time, float* panel) const {
  if (time == 0) return;
  const bool whole = width(group) == kLanes;
  if (whole && from.stride(2) == 1) {
    const float* source = &from(row_block, begin, group * kLanes);
    for (int64_t t = 0; t < time; ++t) {
      std::memcpy(panel + t * kLanes, source + t * from.stride(1), kLanes * sizeof(float));
    }
    return;
  }
  const int64_t count = sequences(row_block, group), step = from.stride(1);
  if (count < slice_lanes()) std::fill(panel, panel + time * kLanes, 0.0f);
  const float* sources[kLanes];
  for (int64_t i = 0; i < count; ++i) {
    const Lane at = lane(row_block, group, i);
    sources[i] = &from(at.row, begin, at.channel);
  }
  with_constant(slice_lanes(), [&](auto lanes) {
    for (int64_t t = 0; t < time; ++t) {
      float* row = panel + t * kLanes;
      for (int64_t i = 0; i < count; ++i) {
        const float value = sources[i][t * step];
        for (int64_t slice = 0; slice < kLanes; slice += lanes) row[slice + i] = value;
      }
    }
  });
}

SoonRows LtiTiling::soon(View<const float, 3> signal, int64_t row_block, int64_t group,
                         int64_t begin, int64_t count) const {
  const int64_t first = std::max<int64_t>(begin, 0);
  const int64_t last = std::min(begin + count, signal.extent(1));
  if (first >= last) return {};
  const Lane at = lane(row_block, group, 0);
  return {&signal(at.row, first, at.channel), signal.stride(1), last - first};
}

void LtiTiling::store(const float* panel, int64_t row_block, int64_t group, int64_t begin,
                      int64_t time, View<float, 3> to) const {
  if (time == 0) return;
  const bool whole = width(group) == kLanes;
  if (whole && to.stride(2) == 1) {
    float* target = &to(row_block, begin, group * kLanes);
    for (int64_t t = 0; t < time; ++t) {
      std::memcpy(target + t * to.stride(1), panel + t * kLanes, kLanes * sizeof(float));
    }
    return;
  }
  const int64_t count = sequences(row_block, group), step = to.stride(1);
  float* targets[kLanes];
  for (int64_t i = 0; i < count; ++i) {
    const Lane at = lane(row_block, group, i);
    targets[i] = &to(at.row, begin, at.channel);
  }
  with_constant(slice_lanes(), [&](auto lanes) {
    for (int64_t t = 0; t < time; ++t) {
      float row[kLanes];
      std::memcpy(row, panel + t * kLanes, sizeof(row));
      for (int64_t half = kLanes / 2; half >= lanes; half /= 2) {
        for (int64_t i = 0; i < half; ++i) row[i] += row[half + i];
      }
      for (int64_t i = 0; i < count; ++i) targets[i][t * step] = row[i];
    }
  });
}

}  // namespace longwave::ops
