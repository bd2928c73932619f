// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "longwave/base/error.h"
#include "longwave/base/half.h"
#include "longwave/ops/quant/block_layout.h"
#include "longwave/ops/quant/quant.h"

namespace longwave::ops {
namespace {

TEST(RequireFinite, OneBadNumberOrScaleIsFoundInEveryType) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  struct Case {
    DType dtype;
    size_t scale;  ///< of the last number or block, from the end of the bytes
  };
  for (const auto& [dtype, scale] :
       {Case{DType::kFloat32, 2}, Case{DType::kFloat16, 2}, Case{DType::kBFloat16, 2},
        Case{DType::kQ8_0, sizeof(BlockQ8_0)}, Case{DType::kQ4_0, sizeof(BlockQ4_0)},
        Case{DType::kQ4_K, sizeof(BlockQ4_K)}, Case{DType::kQ4_K, sizeof(BlockQ4_K) - 2},
        Case{DType::kQ6_K, 2}}) {
    Tensor plain(DType::kFloat32, {3, 512});
    for (float& x : plain.elements<float>()) x = 0.25F;
    Tensor x = dtype == DType::kFloat32 ? plain.clone() : quantize(plain, dtype);
    EXPECT_NO_THROW(require_finite("x", x, "f")) << name_of(dtype);
    const bool upper = dtype == DType::kFloat32 || dtype == DType::kBFloat16;
    const uint16_t bits = upper ? to_bfloat16(kInfinity) : to_float16(kInfinity);
    std::memcpy(x.raw() + x.bytes() - scale, &bits, sizeof bits);
    EXPECT_THROW(require_finite("x", x, "f"), DataError) << name_of(dtype) << " " << scale;
  }
  EXPECT_NO_THROW(require_finite("x", Tensor(DType::kFloat32, {0, 4}), "f"));
}

}  // namespace
}  // namespace longwave::ops
