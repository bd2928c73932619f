// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "longwave/ops/norm/norm_cuda.h"
#include "longwave/ops/testing/device_large.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::EndOfZeros;
using testing::noise;
using T = __nv_bfloat16;

constexpr int64_t kRows = 33;  // the last ones, before which all is zeros

// A norm and its gradient.
struct LargeNorm {
  LargeNorm(int64_t rows, int64_t channels)
      : rows(rows),
        channels(channels),
        x(rows * channels, noise<T>(kRows * channels, 1)),
        dy(rows * channels, noise<T>(kRows * channels, 2)),
        y(rows * channels),
        dx(rows * channels),
        w(noise<float>(channels, 3)),
        b(noise<float>(channels, 4)),
        moments(2 * rows),
        dw(channels),
        db(channels),
        workspace(static_cast<int64_t>(row_norm_cuda_backward_workspace_bytes(rows, channels))) {
    const View<const float, 1> scale(w.data(), {channels});
    const View<float, 2> kept(moments.data(), {rows, 2});
    row_norm_cuda<T>(
        {.x = all(x), .w = scale, .b = {b.data(), {channels}}, .y = all(y), .moments = kept},
        nullptr);
    row_norm_cuda_backward<T>(
        {.x = all(x),
         .w = scale,
         .moments = kept,
         .dy = all(dy),
         .dx = all(dx),
         .dw = {dw.data(), {channels}},
         .db = {db.data(), {channels}}},
        {workspace.data(), row_norm_cuda_backward_workspace_bytes(rows, channels)}, nullptr);
  }

  static int64_t bytes(int64_t rows, int64_t channels) {
    return 4 * rows * channels * static_cast<int64_t>(sizeof(T)) +
           2 * rows * static_cast<int64_t>(sizeof(float)) +
           static_cast<int64_t>(row_norm_cuda_backward_workspace_bytes(rows, channels));
  }

  View<T, 2> all(DeviceBuffer<T>& of) const { return {of.data(), {rows, channels}}; }

  int64_t rows, channels;
  EndOfZeros<T> x, dy;
  DeviceBuffer<T> y, dx;
  DeviceBuffer<float> w, b, moments, dw, db;
  DeviceBuffer<std::byte> workspace;
};

TEST(RowNormCudaLarge, WhatLiesBehind2To31ElementsIsAsAlone) {
  // Rows that a warp keeps, that a block keeps in packs and one by one, that none keeps, and more
  // than 2^31 rows.
  for (const int64_t channels : {1024, 1540, 1541, 8196, 1}) {
    const int64_t rows = testing::kLarge / channels + 1 + kRows;
    const std::string lack = testing::shortage(LargeNorm::bytes(rows, channels));
    if (!lack.empty()) GTEST_SKIP() << lack;
    const LargeNorm alone(kRows, channels), large(rows, channels);
    const std::string what = "channels " + std::to_string(channels);
    testing::expect_same_end(what + " y", alone.y, large.y);
    testing::expect_same_end(what + " moments", alone.moments, large.moments);
    testing::expect_same_end(what + " dx", alone.dx, large.dx);
    testing::expect_same_sum(what + " dw", alone.dw, large.dw, kRows);
    testing::expect_same_sum(what + " db", alone.db, large.db, kRows);
  }
}

}  // namespace
}  // namespace longwave::ops
