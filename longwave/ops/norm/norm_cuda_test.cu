// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "longwave/ops/norm/norm_cuda.h"
#include "longwave/ops/norm/norm_kernels.h"
#include "longwave/ops/testing/device_agree.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::expect_close;
using testing::noise;

template <typename T>
class RowNormCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(RowNormCuda, Types);

template <typename T, typename Y = T>
void agree(RowNorm kind, int64_t rows, int64_t channels) {
  const std::string what = "rows " + std::to_string(rows) + " channels " + std::to_string(channels);
  const std::vector<double> x = noise<T>(rows * channels, 1), dy = noise<Y>(rows * channels, 2);
  const std::vector<double> w = noise<float>(channels, 3), b = noise<float>(channels, 4);
  std::vector<double> y(x.size()), moments(2 * rows), dx(x.size()), dw(channels), db(channels);
  const bool centred = kind == RowNorm::kLayer;
  row_norm_ref<double>({.kind = kind,
                        .epsilon = 1e-5,
                        .x = {x.data(), {rows, channels}},
                        .w = {w.data(), {channels}},
                        .b = {centred ? b.data() : nullptr, {channels}},
                        .y = {y.data(), {rows, channels}},
                        .moments = {moments.data(), {rows, 2}}});
  row_norm_grad_ref<double>({.kind = kind,
                             .x = {x.data(), {rows, channels}},
                             .w = {w.data(), {channels}},
                             .moments = {moments.data(), {rows, 2}},
                             .dy = {dy.data(), {rows, channels}},
                             .dx = {dx.data(), {rows, channels}},
                             .dw = {dw.data(), {channels}},
                             .db = {db.data(), {channels}}});
  DeviceBuffer<T> x_on(x), dx_on(x.size());
  DeviceBuffer<Y> dy_on(dy), y_on(x.size());
  DeviceBuffer<float> w_on(w), b_on(b), moments_on(2 * rows), dw_on(channels), db_on(channels);
  row_norm_cuda<T, Y>({.kind = kind,
                       .x = {x_on.data(), {rows, channels}},
                       .w = {w_on.data(), {channels}},
                       .b = {centred ? b_on.data() : nullptr, {channels}},
                       .y = {y_on.data(), {rows, channels}},
                       .moments = {moments_on.data(), {rows, 2}}},
                      nullptr);
  const size_t bytes = row_norm_cuda_backward_workspace_bytes(rows, channels);
  DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  row_norm_cuda_backward<T, Y>({.kind = kind,
                                .x = {x_on.data(), {rows, channels}},
                                .w = {w_on.data(), {channels}},
                                .moments = {moments_on.data(), {rows, 2}},
                                .dy = {dy_on.data(), {rows, channels}},
                                .dx = {dx_on.data(), {rows, channels}},
                                .dw = {dw_on.data(), {channels}},
                                .db = {db_on.data(), {channels}}},
                               {workspace.data(), bytes}, nullptr);
  expect_close<Y>(what + " y", y, y_on.wide(), 8 + channels);
  expect_close<float>(what + " moments", moments, moments_on.wide(), 8 + channels);
  // Gradients are differences of numbers as large as the inverse deviation makes them.
  double steepest = 1;
  for (int64_t r = 0; r < rows; ++r) steepest = std::max(steepest, 10 * moments[2 * r + 1]);
  expect_close<T>(what + " dx", dx, dx_on.wide(), 16 + channels, steepest);
  expect_close<float>(what + " dw", dw, dw_on.wide(), 16 + rows + channels);
  expect_close<float>(what + " db", db, db_on.wide(), 16 + rows);
}

TYPED_TEST(RowNormCuda, AgreesWithTheOracle) {
  for (const RowNorm kind : {RowNorm::kLayer, RowNorm::kRms}) {
    for (const int64_t rows : {0, 1, 63, 64, 130}) {
      for (const int64_t channels : {1, 7, 32, 129, 768}) agree<TypeParam>(kind, rows, channels);
    }
  }
}

TEST(RowNormCudaMixed, RoundsWhatItReadsInFloat) {
  for (const RowNorm kind : {RowNorm::kLayer, RowNorm::kRms}) {
    for (const int64_t rows : {1, 65}) {
      for (const int64_t channels : {7, 768}) agree<float, __nv_bfloat16>(kind, rows, channels);
    }
  }
}

}  // namespace
}  // namespace longwave::ops
