// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "longwave/base/assert.h"
#include "longwave/base/dtype.h"
#include "longwave/base/large_pages.h"
#include "longwave/base/view.h"

namespace longwave {

using Shape = std::vector<int64_t>;

/// Elements of a shape; throws InvalidArgument on a negative extent or if the count overflows.
int64_t element_count(const Shape& shape);

/// "(2, 3, 4)".
std::string to_string(const Shape& shape);

/// Owns a dense, row-major, 64-byte aligned piece of numbers; move-only, zero at birth.
///
/// Types with blocks have them along the last extent; their bytes are reached by `raw` alone.
///
/// Errors     InvalidArgument on a bad shape, which includes a last extent that is no multiple of
///            the type's block; std::bad_alloc if memory is out.
/// Threads    const use is safe from many threads; no synchronisation inside.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape);

  /// The same in memory that it shares with others.
  Tensor(DType dtype, Shape shape, std::shared_ptr<LargePages> pages);

  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept = default;

  /// A deep copy, spelled out so that it is never made by accident.
  Tensor clone() const;

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  Layout layout() const { return layout_; }
  int64_t size() const { return size_; }
  size_t bytes() const { return bytes_of(dtype_, size_); }
  std::byte* raw() { return data_.get(); }
  const std::byte* raw() const { return data_.get(); }

  /// For whoever moves the bytes: rows of blocks lie like this from now on.
  void set_layout(Layout layout) { layout_ = layout; }

  /// All elements in order. The type must be the tensor's own.
  template <typename T>
  std::span<T> elements() {
    LONGWAVE_ASSERT(DTypeOf<T>::value == dtype_, "tensor asked for another element type");
    return {reinterpret_cast<T*>(data_.get()), static_cast<size_t>(size_)};
  }
  template <typename T>
  std::span<const T> elements() const {
    LONGWAVE_ASSERT(DTypeOf<T>::value == dtype_, "tensor asked for another element type");
    return {reinterpret_cast<const T*>(data_.get()), static_cast<size_t>(size_)};
  }

  /// A view with the tensor's shape. The type and rank must be the tensor's own.
  template <typename T, int Rank>
  View<T, Rank> view() {
    return {elements<T>().data(), extents<Rank>()};
  }
  template <typename T, int Rank>
  View<const T, Rank> view() const {
    return {elements<T>().data(), extents<Rank>()};
  }

 private:
  struct Free {
    std::shared_ptr<LargePages> pages;  // whose memory it is, or nobody's
    void operator()(std::byte* data) const noexcept;
  };

  template <int Rank>
  std::array<int64_t, Rank> extents() const {
    LONGWAVE_ASSERT(shape_.size() == Rank, "tensor asked for another rank");
    std::array<int64_t, Rank> result{};
    for (int i = 0; i < Rank; ++i) result[i] = shape_[i];
    return result;
  }

  DType dtype_ = DType::kFloat32;
  Layout layout_ = Layout::kRows;
  Shape shape_{0};
  int64_t size_ = 0;
  std::unique_ptr<std::byte[], Free> data_;
};

}  // namespace longwave
