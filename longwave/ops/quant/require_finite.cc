// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/ops/quant/block_layout.h"
#include "longwave/ops/quant/quant.h"

namespace longwave::ops {
namespace {

/// Where a type has the exponents that say whether its numbers are finite.
struct Exponents {
  size_t stride;      ///< bytes from one to the next
  size_t first;       ///< the place of the first
  uint32_t mask;      ///< of 16 bits: all set if the number is NaN or infinite
  size_t second = 0;  ///< the place of another one, if not 0
};

constexpr uint32_t kFloat16Mask = 0x7c00, kUpperMask = 0x7f80;

Exponents exponents_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:  // its upper half
      return {4, 2, kUpperMask};
    case DType::kBFloat16:
      return {2, 0, kUpperMask};
    case DType::kFloat16:
      return {2, 0, kFloat16Mask};
    case DType::kQ8_0:
      return {sizeof(BlockQ8_0), offsetof(BlockQ8_0, d), kFloat16Mask};
    case DType::kQ4_0:
      return {sizeof(BlockQ4_0), offsetof(BlockQ4_0, d), kFloat16Mask};
    case DType::kQ4_K:
      return {sizeof(BlockQ4_K), offsetof(BlockQ4_K, d), kFloat16Mask, offsetof(BlockQ4_K, dmin)};
    case DType::kQ6_K:
      return {sizeof(BlockQ6_K), offsetof(BlockQ6_K, d), kFloat16Mask};
    default:
      throw InvalidArgument({.where = "require_finite",
                             .what = "the type is not one for weights",
                             .got = std::string(name_of(dtype)),
                             .fix = {}});
  }
}

bool finite(const std::byte* place, uint32_t mask) {
  uint16_t bits;
  std::memcpy(&bits, place, sizeof bits);
  return (bits & mask) != mask;
}

}  // namespace

void require_finite(const std::string& name, const Tensor& x, std::string_view where) {
  constexpr int64_t kGrain = int64_t{1} << 16;
  const Exponents at = exponents_of(x.dtype());
  std::atomic<bool> sound = true;
  parallel_for(static_cast<int64_t>(x.bytes() / at.stride), kGrain,
               [&](int64_t begin, int64_t end) {
                 bool all = true;
                 for (int64_t i = begin; i < end; ++i) {
                   const std::byte* item = x.raw() + static_cast<size_t>(i) * at.stride;
                   all = all && finite(item + at.first, at.mask) &&
                         (at.second == 0 || finite(item + at.second, at.mask));
                 }
                 if (!all) sound = false;
               });
  if (sound) return;
  throw DataError({.where = std::string(where),
                   .what = "tensor \"" + name + "\" holds a number that is not finite",
                   .got = {},
                   .fix = "go back to a checkpoint from before the training diverged"});
}

}  // namespace longwave::ops
