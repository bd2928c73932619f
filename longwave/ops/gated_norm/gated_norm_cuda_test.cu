// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/ops/gated_norm/testing/gated_norm_device.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::expect_close;
using testing::GatedNormDevice;
using Case = testing::GatedNormCase;

template <typename T>
void agree(const Case& of) {
  GatedNormDevice<T> run(of);
  run.on_host();
  run.on_device();
  const std::string what = name(of);
  const int64_t rows = of.rows, channels = of.channels;
  // Gradients are differences of numbers as large as the inverse deviation makes them, and so are
  // the factors of dw.
  double steepest = 1;
  for (const double each : run.inverse) steepest = std::max(steepest, 10 * each);
  expect_close<T>(what + " y", run.y, run.y_on.wide(), 16 + channels);
  expect_close<float>(what + " inverse", run.inverse, run.inverse_on.wide(), 16 + channels);
  expect_close<T>(what + " dx", run.dx, run.dx_on.wide(), 32 + channels, steepest);
  if (of.gated) expect_close<T>(what + " dz", run.dz, run.dz_on.wide(), 32 + channels, steepest);
  expect_close<float>(what + " dw", run.dw, run.dw_on.wide(), 32 + rows + channels, steepest);
}

template <typename T>
class GatedNormCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(GatedNormCuda, Types);

TYPED_TEST(GatedNormCuda, AgreesWithTheOracle) {
  for (const GateOrder order : {GateOrder::kBefore, GateOrder::kAfter}) {
    for (const bool gated : {true, false}) {
      for (const int64_t rows : {0, 1, 63, 64, 130}) {
        for (const auto& [channels, groups] : {std::pair<int64_t, int64_t>{1, 1},
                                               {7, 1},
                                               {64, 2},
                                               {129, 3},
                                               {1536, 1},
                                               {1000, 1},
                                               {2048, 1}}) {
          agree<TypeParam>({order, gated, rows, channels, groups});
        }
      }
    }
  }
}

// Groups that blocks keep, in packs and one by one, in stretches of several rows, and groups that
// none keeps.
TYPED_TEST(GatedNormCuda, WideGroupsAgreeWithTheOracle) {
  for (const GateOrder order : {GateOrder::kBefore, GateOrder::kAfter}) {
    for (const auto& [channels, groups] : {std::pair<int64_t, int64_t>{513, 1},
                                           {1541, 1},
                                           {3072, 2},
                                           {4097, 1},
                                           {5120, 1},
                                           {8192, 1},
                                           {8193, 1},
                                           {8196, 1},
                                           {8208, 8}}) {
      for (const int64_t rows : {1, 67}) agree<TypeParam>({order, true, rows, channels, groups});
      agree<TypeParam>({order, false, 5, channels, groups});
    }
  }
}

// Rows that begin where no pack does, at strides that are no packs either.
TYPED_TEST(GatedNormCuda, UnalignedRowsAgreeWithTheOracle) {
  using T = TypeParam;
  for (const int64_t channels : {96, 1024, 4096, 8196}) {
    constexpr int64_t kRows = 9;
    const int64_t stride = channels + 3;
    GatedNormDevice<T> run({GateOrder::kBefore, true, kRows, channels, 1});
    run.on_host();
    std::vector<double> apart(kRows * stride + 1);
    for (int64_t i = 0; i < kRows * channels; ++i) {
      apart[1 + i / channels * stride + i % channels] = run.z[i];
    }
    DeviceBuffer<T> z(apart), dz(kRows * stride + 1);
    auto args = run.args();
    auto grads = run.grad_args();
    args.z = {z.data() + 1, {kRows, channels}, {stride, 1}};
    grads.z = args.z;
    grads.dz = {dz.data() + 1, {kRows, channels}, {stride, 1}};
    const size_t bytes = gated_norm_cuda_backward_workspace_bytes(kRows, channels);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    gated_norm_cuda(args, nullptr);
    gated_norm_cuda_backward(grads, {workspace.data(), bytes}, nullptr);
    const std::vector<double> all = dz.wide();
    std::vector<double> got;
    for (int64_t i = 0; i < kRows * channels; ++i) {
      got.push_back(all[1 + i / channels * stride + i % channels]);
    }
    const std::string what = name(run.size);
    expect_close<T>(what + " y", run.y, run.y_on.wide(), 16 + channels);
    expect_close<T>(what + " dz", run.dz, got, 32 + channels, 10);
    expect_close<float>(what + " dw", run.dw, run.dw_on.wide(), 32 + kRows + channels, 10);
    EXPECT_TRUE(std::isnan(all.front()) && std::isnan(all.back())) << what << " beside dz";
  }
}

// Shapes of each way in which the gradient is spread: in packs and not, a block a row, groups.
constexpr Case kKinds[] = {
    {GateOrder::kBefore, true, 130, 1536, 1}, {GateOrder::kAfter, true, 70, 4096, 1},
    {GateOrder::kBefore, true, 70, 4097, 1},  {GateOrder::kBefore, true, 70, 8196, 1},
    {GateOrder::kBefore, true, 70, 2052, 2},  {GateOrder::kAfter, true, 67, 129, 3},
    {GateOrder::kBefore, false, 65, 1000, 2}};

TYPED_TEST(GatedNormCuda, SameArgumentsSameBits) {
  for (const Case& of : kKinds) {
    GatedNormDevice<TypeParam> one(of), other(of);
    one.on_device();
    other.on_device();
    EXPECT_EQ(one.y_on.wide(), other.y_on.wide());
    EXPECT_EQ(one.inverse_on.wide(), other.inverse_on.wide());
    EXPECT_EQ(one.dx_on.wide(), other.dx_on.wide());
    EXPECT_EQ(one.dw_on.wide(), other.dw_on.wide());
    if (of.gated) EXPECT_EQ(one.dz_on.wide(), other.dz_on.wide());
  }
}

TYPED_TEST(GatedNormCuda, WrongShapesAreRefused) {
  GatedNormDevice<TypeParam> device({GateOrder::kBefore, true, 5, 12, 2});
  auto args = device.args();
  args.groups = 5;
  EXPECT_THROW(gated_norm_cuda(args, nullptr), InvalidArgument);
  args = device.args();
  args.z = args.z.slice(1, 0, 11);
  EXPECT_THROW(gated_norm_cuda(args, nullptr), InvalidArgument);
  args = device.args();
  args.inverse = args.inverse.slice(1, 0, 1);
  EXPECT_THROW(gated_norm_cuda(args, nullptr), InvalidArgument);
  auto grads = device.grad_args();
  grads.dz = {};
  EXPECT_THROW(gated_norm_cuda_backward(grads, {}, nullptr), InvalidArgument);
  grads = device.grad_args();
  grads.dw = grads.dw.slice(0, 0, 11);
  EXPECT_THROW(gated_norm_cuda_backward(grads, {}, nullptr), InvalidArgument);
  EXPECT_THROW(gated_norm_cuda_backward(device.grad_args(), {}, nullptr), InvalidArgument)
      << "no workspace";
}

}  // namespace
}  // namespace longwave::ops
