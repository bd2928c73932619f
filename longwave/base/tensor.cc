// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/tensor.h"

#include <cstring>
#include <limits>
#include <new>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/large_pages.h"
#include "longwave/base/parallel.h"

namespace longwave {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr size_t kLargestElement = 16;

void require_whole_blocks(DType dtype, const Shape& shape) {
  const int64_t elements = block_of(dtype).elements;
  if (elements == 1 || (!shape.empty() && shape.back() % elements == 0)) return;
  throw InvalidArgument({.where = "tensor",
                         .what = "the last extent must be a multiple of " +
                                 std::to_string(elements) + ", the block of " +
                                 std::string(name_of(dtype)),
                         .got = to_string(shape),
                         .fix = "keep this tensor in bfloat16 or float32"});
}

/// Pages of new memory are made by the thread that touches them first: each makes its share.
void fill_with_zeros(std::byte* data, size_t bytes) {
  constexpr int64_t kGrain = int64_t{4} << 20;
  parallel_for(static_cast<int64_t>(bytes), kGrain, [&](int64_t begin, int64_t end) {
    std::memset(data + begin, 0, static_cast<size_t>(end - begin));
  });
}

}  // namespace

int64_t element_count(const Shape& shape) {
  constexpr int64_t kLimit = std::numeric_limits<int64_t>::max() / kLargestElement;
  int64_t count = 1;
  for (int64_t extent : shape) {
    if (extent < 0 || (extent > 0 && count > kLimit / extent)) {
      throw InvalidArgument({.where = "tensor",
                             .what = "extents must be non-negative and their product must fit",
                             .got = to_string(shape),
                             .fix = {}});
    }
    count *= extent;
  }
  return count;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + ")";
}

void Tensor::Free::operator()(std::byte* data) const noexcept {
  if (!pages) ::operator delete[](data, kAlignment);
}

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype), shape_(std::move(shape)), size_(element_count(shape_)) {
  require_whole_blocks(dtype_, shape_);
  const size_t count = bytes();
  data_.reset(static_cast<std::byte*>(::operator new[](count > 0 ? count : 1, kAlignment)));
  if (count == 0) return;
  prefer_large_pages(data_.get(), count);
  fill_with_zeros(data_.get(), count);
}

Tensor::Tensor(DType dtype, Shape shape, std::shared_ptr<LargePages> pages)
    : dtype_(dtype), shape_(std::move(shape)), size_(element_count(shape_)) {
  require_whole_blocks(dtype_, shape_);
  std::byte* const data = pages->take(bytes());
  data_ = {data, Free{std::move(pages)}};
}

Tensor Tensor::clone() const {
  Tensor copy(dtype_, shape_);
  copy.layout_ = layout_;
  if (size_ > 0) std::memcpy(copy.raw(), raw(), bytes());
  return copy;
}

}  // namespace longwave
