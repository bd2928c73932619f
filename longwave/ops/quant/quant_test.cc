// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/quant/quant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/half.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/quant/panels.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

constexpr DType kBlocked[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K};
constexpr DType kSmaller[] = {DType::kFloat16, DType::kBFloat16, DType::kQ8_0,
                              DType::kQ4_0,    DType::kQ4_K,     DType::kQ6_K};

std::vector<char> file(const std::string& name) {
  std::ifstream in(LONGWAVE_SOURCE_DIR "/tests/fixtures/blocks/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Tensor noise(const Shape& shape, uint64_t seed, double deviation = 1) {
  Tensor tensor(DType::kFloat32, shape);
  Random random(seed);
  for (float& x : tensor.elements<float>()) x = static_cast<float>(deviation * random.normal());
  return tensor;
}

Matrix matrix_of(const Tensor& tensor) {
  Matrix matrix(tensor.dtype(), tensor.size() / tensor.shape().back(), tensor.shape().back(),
                tensor.raw());
  matrix.layout = tensor.layout();
  return matrix;
}

TEST(Half, SixteenBitsRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float narrow = from_float16(half), wide = from_bfloat16(half);
    EXPECT_TRUE(std::isnan(narrow) || to_float16(narrow) == half) << bits;
    EXPECT_TRUE(std::isnan(wide) || to_bfloat16(wide) == half) << bits;
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(to_float16(1.0f), 0x3c00);
  EXPECT_EQ(to_float16(1 + 0x1p-11f), 0x3c00);
  EXPECT_EQ(to_float16(1 + 0x3p-11f), 0x3c02);
  EXPECT_EQ(to_float16(65519.0f), 0x7bff);
  EXPECT_EQ(to_float16(65520.0f), 0x7c00);
  EXPECT_EQ(to_float16(-0x1p-24f), 0x8001);
  EXPECT_EQ(to_float16(0x1p-25f), 0x0000);
  EXPECT_EQ(to_float16(0x1.8p-24f), 0x0002);
  EXPECT_EQ(to_bfloat16(1 + 0x1p-8f), 0x3f80);
  EXPECT_EQ(to_bfloat16(1 + 0x3p-8f), 0x3f82);
  EXPECT_TRUE(std::isnan(from_float16(to_float16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isnan(from_bfloat16(to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(Dequantize, MatchesPublished) {
  for (const DType dtype : kBlocked) {
    const std::string name(name_of(dtype));
    const std::vector<char> blocks = file(name + ".bin"), numbers = file(name + ".f32");
    const int64_t count = static_cast<int64_t>(numbers.size() / sizeof(float));
    ASSERT_GT(count, 0);
    ASSERT_EQ(blocks.size(), bytes_of(dtype, count));
    Tensor tensor(dtype, {1, count});
    std::memcpy(tensor.raw(), blocks.data(), blocks.size());
    const Tensor decoded = dequantize(tensor);
    Worst worst(name);
    for (int64_t i = 0; i < count; ++i) {
      float expected = 0;
      std::memcpy(&expected, numbers.data() + i * sizeof(float), sizeof expected);
      worst.compare(i, expected, decoded.elements<float>()[i],
                    Tolerance::sum<float>(1, std::abs(expected) + 64));
    }
    EXPECT_TRUE(worst.ok());
  }
}

TEST(Dequantize, GoldenBytes) {
  Tensor q4(DType::kQ4_0, {1, 32});
  const uint8_t d[] = {0x00, 0x38};  // 0.5
  std::memcpy(q4.raw(), d, 2);
  q4.raw()[2] = std::byte{0xf1};
  const Tensor decoded = dequantize(q4);
  const auto numbers = decoded.elements<float>();
  EXPECT_EQ(numbers[0], 0.5f * (1 - 8));
  EXPECT_EQ(numbers[16], 0.5f * (15 - 8));
  EXPECT_EQ(numbers[1], 0.5f * (0 - 8));
  Tensor q8(DType::kQ8_0, {1, 32});
  std::memcpy(q8.raw(), d, 2);
  q8.raw()[33] = std::byte{0x80};
  EXPECT_EQ(dequantize(q8).elements<float>()[31], -64.0f);
}

TEST(Dequantize, KernelsEqualTheFormula) {
  for (const DType dtype : kSmaller) {
    const Tensor tensor = quantize(noise({3, 768}, 1), dtype);
    const Matrix W = matrix_of(tensor);
    std::vector<float> y(2 * 512, std::numeric_limits<float>::quiet_NaN());
    const View<float, 2> out(y.data(), {2, 512});
    dequantize({.W = W, .y = out, .row = 1, .column = 256});
    Worst worst{std::string(name_of(dtype))};
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t i = 0; i < 512; ++i) {
        worst.compare(r * 512 + i, dequantize_ref(W, 1 + r, 256 + i), out(r, i),
                      Tolerance::sum<float>(2, 4));
      }
    }
    EXPECT_TRUE(worst.ok());
  }
}

TEST(Panels, HoldTheNumbersOfTheRows) {
  for (const DType dtype : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K}) {
    const int64_t block = block_of(dtype).elements;
    for (const Shape& shape :
         {Shape{16, block}, Shape{50, 3 * block}, Shape{7, 2 * block}, Shape{3, 32, 33 * block}}) {
      const Tensor rows = quantize(noise(shape, 4), dtype);
      const Tensor panels = in_panels(rows);
      ASSERT_EQ(panels.layout(), Layout::kPanels);
      ASSERT_EQ(panels.clone().layout(), Layout::kPanels);
      const Tensor expected = dequantize(rows), found = dequantize(panels);
      EXPECT_TRUE(std::ranges::equal(expected.elements<float>(), found.elements<float>()));
      const Matrix W = matrix_of(panels), V = matrix_of(rows);
      std::vector<std::byte> blocks(bytes_of(dtype, W.columns));
      for (int64_t r = 0; r < W.rows; ++r) {
        copy_row_of_panels(W, r, 0, W.columns, blocks.data());
        EXPECT_EQ(std::memcmp(blocks.data(), V.row(r), blocks.size()), 0) << "row " << r;
        EXPECT_EQ(dequantize_ref(W, r, W.columns - 1), dequantize_ref(V, r, V.columns - 1));
      }
    }
  }
}

TEST(Panels, AreLeftAloneWhereTheyWouldCrossMatrices) {
  EXPECT_EQ(in_panels(Tensor(DType::kQ8_0, {3, 24, 32})).layout(), Layout::kRows);
  EXPECT_EQ(in_panels(Tensor(DType::kQ4_K, {3, 24, 256})).layout(), Layout::kRows);
  EXPECT_EQ(in_panels(Tensor(DType::kFloat32, {16, 32})).layout(), Layout::kRows);
  EXPECT_EQ(in_panels(Tensor(DType::kQ8_0, {0, 32})).layout(), Layout::kRows);
}

/// The bound of the header for one number; `peers` are those that share its scale.
double bound(DType dtype, float x, std::span<const float> peers) {
  float most = 0, low = 0, high = 0;
  for (const float peer : peers) {
    most = std::max(most, std::abs(peer));
    low = std::min(low, peer);
    high = std::max(high, peer);
  }
  constexpr double kLeastScale = 0x1p-24;
  switch (dtype) {
    case DType::kFloat16:
      return 0x1p-11 * std::abs(x) + 0x1p-25;
    case DType::kBFloat16:
      return 0x1p-8 * std::abs(x);
    case DType::kQ8_0:
      return (most / 127 * (1 + 0x1p-9) + kLeastScale) / 2 * (1 + 1e-5);
    case DType::kQ4_0:
      return most / 8 * (1 + 0x1p-7) + 8 * kLeastScale;
    default:
      return high - low + 64 * kLeastScale;
  }
}

int64_t peers_of(DType dtype) {
  if (dtype == DType::kQ6_K) return 16;
  return is_blocked(dtype) ? 32 : 1;
}

TEST(Quantize, ErrorsStayWithinTheStep) {
  for (const double deviation : {1.0, 1e-3, 1e3, 1e-7}) {
    for (const DType dtype : kSmaller) {
      const Tensor x = noise({3, 512}, 2, deviation);
      const Tensor decoded = dequantize(quantize(x, dtype));
      const auto from = x.elements<float>(), to = decoded.elements<float>();
      const auto peers = static_cast<size_t>(peers_of(dtype));
      Worst worst{std::string(name_of(dtype))};
      for (size_t i = 0; i < from.size(); ++i) {
        const auto group = from.subspan(i / peers * peers, peers);
        worst.compare(static_cast<int64_t>(i), from[i], to[i], {bound(dtype, from[i], group)});
      }
      EXPECT_TRUE(worst.ok()) << deviation;
    }
  }
}

double relative_error(const Tensor& x, DType dtype) {
  const Tensor decoded = dequantize(quantize(x, dtype));
  double error = 0, power = 0;
  for (size_t i = 0; i < x.elements<float>().size(); ++i) {
    const double from = x.elements<float>()[i], to = decoded.elements<float>()[i];
    error += (from - to) * (from - to);
    power += from * from;
  }
  return std::sqrt(error / power);
}

// A uniform step over the range of 16, 32 or 256 normal numbers has these errors; the search must
// not do worse than the plain rounding that they stand for.
TEST(Quantize, MeanErrorsAreSmall) {
  const Tensor x = noise({64, 1024}, 3);
  EXPECT_LT(relative_error(x, DType::kQ8_0), 0.0060);
  EXPECT_LT(relative_error(x, DType::kQ6_K), 0.0200);
  EXPECT_LT(relative_error(x, DType::kQ4_K), 0.0760);
  EXPECT_LT(relative_error(x, DType::kQ4_0), 0.0900);
}

TEST(Quantize, WhatCanBeStoredExactlyIs) {
  for (const DType dtype : kSmaller) {
    Tensor x(DType::kFloat32, {2, 256});
    const Tensor zero = dequantize(quantize(x, dtype));
    EXPECT_TRUE(std::ranges::equal(zero.elements<float>(), x.elements<float>()));
    for (size_t i = 0; i < 512; ++i) x.elements<float>()[i] = i % 2 == 0 ? -4.0f : 0.0f;
    const Tensor two = dequantize(quantize(x, dtype));
    for (size_t i = 0; i < 512; ++i) {
      EXPECT_NEAR(two.elements<float>()[i], x.elements<float>()[i], 4 * 0x1p-8) << i;
    }
  }
}

TEST(Quantize, SameBitsForAnyNumberOfThreads) {
  const Tensor x = noise({40, 2048}, 4);
  const int threads = thread_count();
  for (const DType dtype : kSmaller) {
    set_thread_count(1);
    const Tensor one = quantize(x, dtype);
    set_thread_count(3);
    const Tensor many = quantize(x, dtype);
    EXPECT_EQ(std::memcmp(one.raw(), many.raw(), one.bytes()), 0);
  }
  set_thread_count(threads);
}

TEST(Quantize, RefusesWhatHasNoBlock) {
  for (const DType dtype : kSmaller) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      Tensor x(DType::kFloat32, {2, 256});
      x.elements<float>()[300] = bad;
      try {
        static_cast<void>(quantize(x, dtype));
        ADD_FAILURE() << name_of(dtype);
      } catch (const InvalidArgument& error) {
        EXPECT_NE(std::string(error.what()).find("element 300"), std::string::npos) << error.what();
      }
    }
  }
  Tensor large(DType::kFloat32, {1, 256});
  large.elements<float>()[3] = 3e38f;
  for (const DType dtype : kBlocked) EXPECT_THROW(quantize(large, dtype), InvalidArgument);
  EXPECT_THROW(quantize(large, DType::kFloat16), InvalidArgument);
  EXPECT_THROW(quantize(large, DType::kInt32), InvalidArgument);
  EXPECT_THROW(quantize(Tensor(DType::kFloat32, {2, 100}), DType::kQ8_0), InvalidArgument);
  EXPECT_THROW(quantize(Tensor(DType::kFloat64, {2, 256}), DType::kQ8_0), InvalidArgument);
}

TEST(Quantize, EmptyTensorsAreFine) {
  for (const DType dtype : kSmaller) {
    EXPECT_EQ(dequantize(quantize(Tensor(DType::kFloat32, {0, 256}), dtype)).size(), 0);
    EXPECT_EQ(dequantize(quantize(Tensor(DType::kFloat32, {4, 0}), dtype)).size(), 0);
  }
}

}  // namespace
}  // namespace longwave::ops
