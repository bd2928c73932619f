// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/matrix.h"
#include "longwave/base/result.h"
#include "longwave/base/tensor.h"
#include "longwave/base/workspace.h"

namespace longwave {
namespace {

bool aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 64 == 0; }

TEST(Tensor, IsZeroAndAlignedAtBirth) {
  Tensor tensor(DType::kFloat32, {3, 5});
  EXPECT_TRUE(aligned(tensor.raw()));
  EXPECT_EQ(tensor.bytes(), 60u);
  for (float x : tensor.elements<float>()) EXPECT_EQ(x, 0);
  EXPECT_EQ(Tensor(DType::kComplex128, {0, 4}).bytes(), 0u);
}

TEST(Tensor, CloneIsIndependent) {
  Tensor tensor(DType::kFloat64, {2});
  tensor.elements<double>()[1] = 4;
  Tensor copy = tensor.clone();
  copy.elements<double>()[1] = 5;
  EXPECT_EQ(tensor.elements<double>()[1], 4);
  EXPECT_EQ((std::as_const(copy).view<double, 1>()(1)), 5);
}

TEST(Tensor, SharesLargePagesThatStayWithTheLast) {
  const Shape shape = {3, 5};
  auto pages = std::make_shared<LargePages>(2 * LargePages::room_for(60));
  Tensor first(DType::kFloat32, shape, pages), second(DType::kFloat32, shape, std::move(pages));
  for (Tensor* tensor : {&first, &second}) {
    EXPECT_TRUE(aligned(tensor->raw()));
    for (float& x : tensor->elements<float>()) {
      EXPECT_EQ(x, 0);
      x = tensor == &first ? 1 : 2;
    }
  }
  const Tensor copy = second.clone();
  first = Tensor();
  Tensor moved = std::move(second);
  for (float x : moved.elements<float>()) EXPECT_EQ(x, 2);
  moved = Tensor();
  EXPECT_EQ(copy.elements<float>()[14], 2);
}

TEST(Tensor, RejectsBadShapes) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max() / 2;
  EXPECT_THROW(Tensor(DType::kFloat32, {2, -1}), InvalidArgument);
  EXPECT_THROW(Tensor(DType::kFloat32, {kHuge, 3}), InvalidArgument);
  EXPECT_THROW(element_count({kHuge}), InvalidArgument);
}

TEST(Tensor, BlocksLieAlongTheLastExtent) {
  EXPECT_EQ(Tensor(DType::kQ8_0, {3, 64}).bytes(), 3u * 2 * 34);
  EXPECT_EQ(Tensor(DType::kQ4_0, {3, 64}).bytes(), 3u * 2 * 18);
  EXPECT_EQ(Tensor(DType::kQ4_K, {2, 256}).bytes(), 2u * 144);
  EXPECT_EQ(Tensor(DType::kQ6_K, {2, 512}).bytes(), 2u * 2 * 210);
  EXPECT_EQ(Tensor(DType::kBFloat16, {2, 5}).bytes(), 20u);
  EXPECT_EQ(Tensor(DType::kQ8_0, {3, 0}).bytes(), 0u);
  Tensor tensor(DType::kQ4_0, {2, 32});
  tensor.raw()[35] = std::byte{7};
  EXPECT_EQ(tensor.clone().raw()[35], std::byte{7});
  EXPECT_THROW(Tensor(DType::kQ8_0, {32, 33}), InvalidArgument);
  EXPECT_THROW(Tensor(DType::kQ4_K, {32}), InvalidArgument);
  EXPECT_THROW(Tensor(DType::kQ4_0, {}), InvalidArgument);
}

TEST(DType, NamesAreTheirOwn) {
  for (const DType dtype : {DType::kFloat32, DType::kUint8, DType::kFloat16, DType::kBFloat16,
                            DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K}) {
    EXPECT_EQ(dtype_named(name_of(dtype)), dtype);
    EXPECT_EQ(is_blocked(dtype), name_of(dtype).starts_with('q'));
  }
  EXPECT_FALSE(dtype_named("q5_1"));
}

TEST(Matrix, RowsOfAViewMayHaveGaps) {
  const std::vector<float> numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const View<const float, 2> all(numbers.data(), {3, 4});
  const Matrix part = Matrix(all.slice(1, 1, 2)).slice(1, 2);
  EXPECT_EQ(part.rows, 2);
  EXPECT_EQ(part.columns, 2);
  EXPECT_EQ(part.floats()(1, 1), 10.0f);
}

TEST(Workspace, ScopesGiveBack) {
  Workspace workspace(Workspace::bytes_for<float>(10) + Workspace::bytes_for<double>(3));
  const auto outer = workspace.take<float>(10);
  EXPECT_TRUE(aligned(outer.data()));
  {
    Workspace::Scope scope(workspace);
    EXPECT_TRUE(aligned(workspace.take<double>(3).data()));
    EXPECT_THROW(workspace.take<float>(1), InvalidArgument);
  }
  EXPECT_NO_THROW(workspace.take<double>(3));
}

TEST(Workspace, CheckedBuildsPoisonWhatTheyHandOut) {
  Workspace workspace(Workspace::bytes_for<float>(4));
  {
    Workspace::Scope scope(workspace);
    for (float& x : workspace.take<float>(4)) x = 1;
  }
  const auto again = workspace.take<float>(4);
  EXPECT_EQ(std::isnan(again[0]), LONGWAVE_CHECKED != 0);
}

TEST(Result, HoldsAValueOrAReport) {
  const Result<int> good(4);
  EXPECT_TRUE(good.ok());
  EXPECT_EQ(good.value(), 4);
  Result<int> bad(Report{.where = "file", .what = "is empty", .got = "0 bytes", .fix = "fill it"});
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.report().what, "is empty");
  EXPECT_THROW(std::move(bad).value_or_throw<IoError>(), IoError);
}

TEST(Error, MessageHasFourParts) {
  const InvalidArgument full({.where = "ssd", .what = "bad heads", .got = "7", .fix = "use 6"});
  EXPECT_STREQ(full.what(), "ssd: bad heads\n  got: 7\n  fix: use 6");
  const InvalidArgument brief({.where = "ssd", .what = "bad heads", .got = {}, .fix = {}});
  EXPECT_STREQ(brief.what(), "ssd: bad heads");
}

}  // namespace
}  // namespace longwave
