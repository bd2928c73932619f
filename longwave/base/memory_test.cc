// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "longwave/base/error.h"
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

TEST(Tensor, RejectsBadShapes) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max() / 2;
  EXPECT_THROW(Tensor(DType::kFloat32, {2, -1}), InvalidArgument);
  EXPECT_THROW(Tensor(DType::kFloat32, {kHuge, 3}), InvalidArgument);
  EXPECT_THROW(element_count({kHuge}), InvalidArgument);
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
