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

/// 1 if the number there is not finite.
uint32_t faulty(const std::byte* place, uint32_t mask) {
  uint16_t bits;
  std::memcpy(&bits, place, sizeof bits);
  return (bits & mask) == mask ? 1 : 0;
}

/// Whether all of `count` items are finite. Nearly always they are: no item ends the loop, so that
/// the compiler can look at many at once.
template <size_t kStride>
bool all_finite(const std::byte* items, int64_t count, const Exponents& at) {
  uint32_t faults = 0;
  const size_t stride = kStride == 0 ? at.stride : kStride;
  for (int64_t i = 0; i < count; ++i) {
    const std::byte* item = items + static_cast<size_t>(i) * stride;
    faults |= faulty(item + at.first, at.mask);
    if (kStride == 0 && at.second > 0) faults |= faulty(item + at.second, at.mask);
  }
  return faults == 0;
}

}  // namespace

void require_finite(const std::string& name, const StoredTensor& x, std::string_view where) {
  // Below this, waking a second thread costs more than it saves.
  constexpr size_t kGrainBytes = size_t{4} << 20;
  const Exponents at = exponents_of(x.dtype);
  std::atomic<bool> sound = true;
  parallel_for(static_cast<int64_t>(x.bytes.size() / at.stride),
               static_cast<int64_t>(kGrainBytes / at.stride), [&](int64_t begin, int64_t end) {
                 const std::byte* items = x.bytes.data() + static_cast<size_t>(begin) * at.stride;
                 const bool fine = at.stride == 2   ? all_finite<2>(items, end - begin, at)
                                   : at.stride == 4 ? all_finite<4>(items, end - begin, at)
                                                    : all_finite<0>(items, end - begin, at);
                 if (!fine) sound = false;
               });
  if (sound) return;
  throw DataError({.where = std::string(where),
                   .what = "tensor \"" + name + "\" holds a number that is not finite",
                   .got = {},
                   .fix = "go back to a checkpoint from before the training diverged"});
}

}  // namespace longwave::ops
