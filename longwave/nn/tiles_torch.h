// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cstdint>
#include <span>

#include "longwave/base/parallel.h"
#include "longwave/base/view.h"

namespace longwave::nn {

/// Steps of one sequence that element-wise work passes over while they lie in the cache.
inline constexpr int64_t kTileSteps = 64;

/// A piece of one sequence.
struct Tile {
  int64_t sequence;
  int64_t begin;  ///< first step
  int64_t steps;

  /// The tile's rows of a dense tensor (batch, time, channels), as (steps, channels).
  template <typename T>
  View<T, 2> rows(const torch::Tensor& x) const {
    const int64_t channels = x.size(2);
    T* first = static_cast<T*>(x.data_ptr()) + (sequence * x.size(1) + begin) * channels;
    return {first, {steps, channels}};
  }

  /// As `rows` for a dense mask (batch, 1 or time, channels); absent if undefined.
  template <typename T>
  View<const T, 2> mask(const torch::Tensor& x) const {
    if (!x.defined()) return {};
    if (x.size(1) != 1) return rows<const T>(x);
    const T* first = static_cast<const T*>(x.data_ptr()) + sequence * x.size(2);
    return {first, {steps, x.size(2)}, {0, 1}};
  }
};

/// All elements of dense rows.
template <typename T>
std::span<T> elements(View<T, 2> rows) {
  return {rows.data(), static_cast<size_t>(rows.size())};
}

/// Calls body(tile) for the tiles of (batch, time), on the pool; kernels inside run serially.
template <typename Body>
void over_tiles(int64_t batch, int64_t time, const Body& body) {
  const int64_t tiles = (time + kTileSteps - 1) / kTileSteps;
  parallel_for(batch * tiles, 2, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t begin = i % tiles * kTileSteps;
      body(Tile{i / tiles, begin, std::min(kTileSteps, time - begin)});
    }
  });
}

}  // namespace longwave::nn
