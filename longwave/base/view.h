// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "longwave/base/assert.h"
#include "longwave/base/platform.h"

namespace longwave {

/// A strided window on numbers that somebody else owns: pointer, extents, strides in elements.
///
///   v(i, j, k) = data[i stride(0) + j stride(1) + k stride(2)]
///
/// Numerics   offsets are 64-bit; a stride of 0 repeats an element (broadcast).
/// Errors     indices are checked in debug and hardened builds only.
/// Threads    a plain value; what it looks at is the owner's business.
template <typename T, int Rank>
class View {
  static_assert(Rank >= 1);

 public:
  using Extents = std::array<int64_t, Rank>;

  constexpr View() = default;

  /// Dense, row-major: the last extent is adjacent in memory.
  LONGWAVE_HD constexpr View(T* data, const Extents& extents) : data_(data), extents_(extents) {
    int64_t stride = 1;
    for (int i = Rank - 1; i >= 0; --i) {
      strides_[i] = stride;
      stride *= extents[i];
    }
  }

  LONGWAVE_HD constexpr View(T* data, const Extents& extents, const Extents& strides)
      : data_(data), extents_(extents), strides_(strides) {}

  /// A view of T is a view of const T.
  LONGWAVE_HD constexpr operator View<const T, Rank>() const requires(!std::is_const_v<T>) {
    return {data_, extents_, strides_};
  }

  template <std::convertible_to<int64_t>... Index>
  requires(sizeof...(Index) == Rank) LONGWAVE_HD constexpr T& operator()(Index... index) const {
    const Extents at{static_cast<int64_t>(index)...};
    int64_t offset = 0;
    for (int i = 0; i < Rank; ++i) {
      LONGWAVE_ASSERT(at[i] >= 0 && at[i] < extents_[i], "view index out of range");
      offset += at[i] * strides_[i];
    }
    return data_[offset];
  }

  /// The sub-view at index `i` of the first extent.
  LONGWAVE_HD constexpr View<T, Rank - 1> operator[](int64_t i) const requires(Rank > 1) {
    LONGWAVE_ASSERT(i >= 0 && i < extents_[0], "view index out of range");
    std::array<int64_t, Rank - 1> extents{}, strides{};
    for (int d = 1; d < Rank; ++d) {
      extents[d - 1] = extents_[d];
      strides[d - 1] = strides_[d];
    }
    return {data_ + i * strides_[0], extents, strides};
  }

  /// Elements [begin, begin + count) along `dimension`.
  LONGWAVE_HD constexpr View slice(int dimension, int64_t begin, int64_t count) const {
    LONGWAVE_ASSERT(begin >= 0 && count >= 0 && begin + count <= extents_[dimension],
                    "slice out of range");
    Extents extents = extents_;
    extents[dimension] = count;
    return {data_ + begin * strides_[dimension], extents, strides_};
  }

  LONGWAVE_HD constexpr T* data() const { return data_; }
  LONGWAVE_HD constexpr int64_t extent(int i) const { return extents_[i]; }
  LONGWAVE_HD constexpr int64_t stride(int i) const { return strides_[i]; }
  LONGWAVE_HD constexpr const Extents& extents() const { return extents_; }
  LONGWAVE_HD constexpr const Extents& strides() const { return strides_; }

  LONGWAVE_HD constexpr int64_t size() const {
    int64_t product = 1;
    for (int64_t extent : extents_) product *= extent;
    return product;
  }

  /// True if no numbers are attached: an optional operand that was left out.
  LONGWAVE_HD constexpr bool absent() const { return data_ == nullptr; }

  /// True if the elements lie densely in row-major order.
  LONGWAVE_HD constexpr bool contiguous() const {
    int64_t stride = 1;
    for (int i = Rank - 1; i >= 0; --i) {
      if (extents_[i] != 1 && strides_[i] != stride) return false;
      stride *= extents_[i];
    }
    return true;
  }

 private:
  T* data_ = nullptr;
  Extents extents_{};
  Extents strides_{};
};

}  // namespace longwave
