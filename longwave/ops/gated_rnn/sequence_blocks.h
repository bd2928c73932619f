// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "longwave/base/parallel.h"
#include "longwave/base/view.h"
#include "longwave/ops/elementwise/elementwise.h"

namespace longwave::ops {

/// Calls body(first, count) for blocks of sequences, on the pool: a block runs through all steps
/// without waiting for others. Blocks depend on the batch alone, so that results do.
template <typename Body>
void over_sequences(int64_t batch, const Body& body) {
  constexpr int64_t kMost = 16;
  const int64_t rows = std::clamp<int64_t>((batch + 1) / 2, 1, kMost);
  parallel_for((batch + rows - 1) / rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i * rows, std::min(rows, batch - i * rows));
  });
}

template <typename T>
std::span<T> row(const View<T, 3>& x, int64_t b, int64_t t) {
  return {x.data() + b * x.stride(0) + t * x.stride(1), static_cast<size_t>(x.extent(2))};
}

template <typename T>
std::span<T> row(const View<T, 2>& x, int64_t b) {
  return {x.data() + b * x.stride(0), static_cast<size_t>(x.extent(1))};
}

/// Step t of all sequences of `x`.
template <typename T>
View<T, 2> at_step(const View<T, 3>& x, int64_t t) {
  return {x.data() + t * x.stride(1), {x.extent(0), x.extent(2)}, {x.stride(0), x.stride(2)}};
}

inline bool starts_at(const View<const uint8_t, 2>& starts, int64_t b, int64_t t) {
  return !starts.absent() && starts(b, t) != 0;
}

/// x = tanh(x) by the kernel of the sigmoid.
template <typename T>
void tanh_in_place(std::span<T> x) {
  for (T& value : x) value *= 2;
  activate<T>(Activation::kSigmoid, x, x);
  for (T& value : x) value = 2 * value - 1;
}

}  // namespace longwave::ops
