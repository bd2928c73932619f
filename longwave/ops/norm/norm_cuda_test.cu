// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/ops/norm/testing/norm_device.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::expect_close;
using testing::noise;
using testing::NormDevice;

template <typename T>
class RowNormCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(RowNormCuda, Types);

template <typename T, typename Y = T>
void agree(RowNorm kind, int64_t rows, int64_t channels) {
  NormDevice<T, Y> run({kind, rows, channels});
  run.on_host();
  run.on_device();
  const std::string what = name(run.size);
  expect_close<Y>(what + " y", run.y, run.y_on.wide(), 8 + channels);
  expect_close<float>(what + " moments", run.moments, run.moments_on.wide(), 8 + channels);
  // Gradients are differences of numbers as large as the inverse deviation makes them.
  double steepest = 1;
  for (int64_t r = 0; r < rows; ++r) steepest = std::max(steepest, 10 * run.moments[2 * r + 1]);
  expect_close<T>(what + " dx", run.dx, run.dx_on.wide(), 16 + channels, steepest);
  expect_close<float>(what + " dw", run.dw, run.dw_on.wide(), 16 + rows + channels);
  expect_close<float>(what + " db", run.db, run.db_on.wide(), 16 + rows);
}

TYPED_TEST(RowNormCuda, AgreesWithTheOracle) {
  for (const RowNorm kind : {RowNorm::kLayer, RowNorm::kRms}) {
    for (const int64_t rows : {0, 1, 63, 64, 130}) {
      for (const int64_t channels : {1, 7, 32, 129, 768, 1536, 1540}) {
        agree<TypeParam>(kind, rows, channels);
      }
    }
  }
}

// A block a row, in packs and one by one, and rows longer than it keeps; stretches of several rows.
TYPED_TEST(RowNormCuda, WideRowsAgreeWithTheOracle) {
  for (const RowNorm kind : {RowNorm::kLayer, RowNorm::kRms}) {
    for (const int64_t channels : {1541, 2048, 2560, 4097, 5120, 8192, 8193, 8196}) {
      for (const int64_t rows : {1, 67}) agree<TypeParam>(kind, rows, channels);
    }
  }
}

// Rows that begin where no pack does, at strides that are no packs either.
TYPED_TEST(RowNormCuda, UnalignedRowsAgreeWithTheOracle) {
  using T = TypeParam;
  for (const int64_t channels : {96, 1024, 4096, 8196}) {
    constexpr int64_t kRows = 9;
    const int64_t stride = channels + 3;
    NormDevice<T> run({RowNorm::kLayer, kRows, channels});
    run.on_host();
    std::vector<double> apart(kRows * stride + 1);
    for (int64_t i = 0; i < kRows * channels; ++i) {
      apart[1 + i / channels * stride + i % channels] = run.x[i];
    }
    DeviceBuffer<T> x(apart), dx(kRows * stride + 1);
    auto args = run.args();
    auto grads = run.grad_args();
    args.x = {x.data() + 1, {kRows, channels}, {stride, 1}};
    grads.x = args.x;
    grads.dx = {dx.data() + 1, {kRows, channels}, {stride, 1}};
    const size_t bytes = row_norm_cuda_backward_workspace_bytes(kRows, channels);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    row_norm_cuda(args, nullptr);
    row_norm_cuda_backward(grads, {workspace.data(), bytes}, nullptr);
    const std::vector<double> all = dx.wide();
    std::vector<double> got;
    for (int64_t i = 0; i < kRows * channels; ++i) {
      got.push_back(all[1 + i / channels * stride + i % channels]);
    }
    const std::string what = name(run.size);
    expect_close<T>(what + " y", run.y, run.y_on.wide(), 8 + channels);
    expect_close<T>(what + " dx", run.dx, got, 16 + channels, 10);
    expect_close<float>(what + " dw", run.dw, run.dw_on.wide(), 16 + kRows + channels);
    EXPECT_TRUE(std::isnan(all.front()) && std::isnan(all.back())) << what << " beside dx";
  }
}

TYPED_TEST(RowNormCuda, SameArgumentsSameBits) {
  for (const RowNorm kind : {RowNorm::kLayer, RowNorm::kRms}) {
    for (const int64_t channels : {129, 768, 1536, 4096, 4097, 8196}) {
      NormDevice<TypeParam> one({kind, 200, channels}), other({kind, 200, channels});
      one.on_device();
      other.on_device();
      EXPECT_EQ(one.y_on.wide(), other.y_on.wide());
      EXPECT_EQ(one.moments_on.wide(), other.moments_on.wide());
      EXPECT_EQ(one.dx_on.wide(), other.dx_on.wide());
      EXPECT_EQ(one.dw_on.wide(), other.dw_on.wide());
      EXPECT_EQ(one.db_on.wide(), other.db_on.wide());
    }
  }
}

TYPED_TEST(RowNormCuda, WrongShapesAreRefused) {
  NormDevice<TypeParam> device({RowNorm::kLayer, 5, 8});
  auto args = device.args();
  args.w = args.w.slice(0, 0, 7);
  EXPECT_THROW(row_norm_cuda(args, nullptr), InvalidArgument);
  args = device.args();
  args.y = args.y.slice(0, 0, 4);
  EXPECT_THROW(row_norm_cuda(args, nullptr), InvalidArgument);
  args = device.args();
  args.branch = device.args().y;
  EXPECT_THROW(row_norm_cuda(args, nullptr), InvalidArgument) << "a branch without a sum";
  auto grads = device.grad_args();
  grads.moments = grads.moments.slice(1, 0, 1);
  EXPECT_THROW(row_norm_cuda_backward(grads, {}, nullptr), InvalidArgument);
  EXPECT_THROW(row_norm_cuda_backward(device.grad_args(), {}, nullptr), InvalidArgument)
      << "no workspace";
}

TEST(RowNormCudaMixed, RoundsWhatItReadsInFloat) {
  for (const RowNorm kind : {RowNorm::kLayer, RowNorm::kRms}) {
    for (const int64_t rows : {1, 65}) {
      for (const int64_t channels : {7, 768, 2048, 8193}) {
        agree<float, __nv_bfloat16>(kind, rows, channels);
      }
    }
  }
}

// The sum is what row_norm sees, and what passes beside the norm joins its gradient.
void agree_on_a_sum(RowNorm kind, int64_t rows, int64_t channels) {
  using Y = __nv_bfloat16;
  const std::string what = "rows " + std::to_string(rows) + " channels " + std::to_string(channels);
  const int64_t count = rows * channels;
  const std::vector<double> x = noise<float>(count, 1), branch = noise<Y>(count, 2);
  const std::vector<double> w = noise<float>(channels, 3), dy = noise<Y>(count, 4);
  const std::vector<double> dsum = noise<float>(count, 5);
  std::vector<double> sum;
  for (int64_t i = 0; i < count; ++i) sum.push_back(static_cast<float>(x[i] + branch[i]));
  DeviceBuffer<float> x_on(x), sum_on(sum), w_on(w), dsum_on(dsum), added_on(count);
  DeviceBuffer<float> moments_on(2 * rows), dx_on(count), alone_on(count), dw_on(channels);
  DeviceBuffer<Y> branch_on(branch), dy_on(dy), y_on(count), plain_on(count), dbranch_on(count);
  const View<float, 2> moments(moments_on.data(), {rows, 2});
  const auto view = [&]<typename T>(DeviceBuffer<T>& buffer) {
    return View<T, 2>(buffer.data(), {rows, channels});
  };
  row_norm_cuda<float, Y>({.kind = kind,
                           .x = view(x_on),
                           .w = {w_on.data(), {channels}},
                           .y = view(y_on),
                           .moments = moments,
                           .branch = view(branch_on),
                           .sum = view(added_on)},
                          nullptr);
  row_norm_cuda<float, Y>(
      {.kind = kind, .x = view(sum_on), .w = {w_on.data(), {channels}}, .y = view(plain_on)},
      nullptr);
  EXPECT_EQ(added_on.wide(), sum) << what;
  EXPECT_EQ(y_on.wide(), plain_on.wide()) << what;
  const size_t bytes = row_norm_cuda_backward_workspace_bytes(rows, channels);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  RowNormCudaGradArgs<float, Y> gradients{.kind = kind,
                                          .x = view(sum_on),
                                          .w = {w_on.data(), {channels}},
                                          .moments = moments,
                                          .dy = view(dy_on),
                                          .dx = view(alone_on),
                                          .dw = {dw_on.data(), {channels}}};
  row_norm_cuda_backward(gradients, {workspace.data(), bytes}, nullptr);
  gradients.dx = view(dx_on);
  gradients.dsum = view(dsum_on);
  gradients.dbranch = view(dbranch_on);
  row_norm_cuda_backward(gradients, {workspace.data(), bytes}, nullptr);
  const std::vector<double> alone = alone_on.wide(), dx = dx_on.wide();
  std::vector<double> expected;
  for (int64_t i = 0; i < count; ++i) expected.push_back(alone[i] + dsum[i]);
  expect_close<float>(what + " dx", expected, dx, 4);
  expect_close<Y>(what + " dbranch", dx, dbranch_on.wide(), 1);
}

TEST(RowNormCudaSum, IsWhatIsNormalised) {
  for (const RowNorm kind : {RowNorm::kLayer, RowNorm::kRms}) {
    for (const int64_t rows : {1, 65}) {
      for (const int64_t channels : {7, 768, 1540, 1541, 4096, 8196}) {
        agree_on_a_sum(kind, rows, channels);
      }
    }
  }
}

}  // namespace
}  // namespace longwave::ops
