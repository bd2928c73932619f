// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "longwave/ops/gated_norm/gated_norm_cuda.h"
#include "longwave/ops/testing/device_large.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::EndOfZeros;
using testing::noise;
using T = __nv_bfloat16;

constexpr int64_t kRows = 33;  // the last ones, before which all is zeros

// A norm and its gradient.
struct LargeGatedNorm {
  LargeGatedNorm(int64_t rows, int64_t channels, int64_t groups)
      : rows(rows),
        channels(channels),
        x(rows * channels, noise<T>(kRows * channels, 1)),
        z(rows * channels, noise<T>(kRows * channels, 2)),
        dy(rows * channels, noise<T>(kRows * channels, 3)),
        y(rows * channels),
        dx(rows * channels),
        dz(rows * channels),
        w(noise<float>(channels, 4)),
        inverse(rows * groups),
        dw(channels),
        workspace(static_cast<int64_t>(gated_norm_cuda_backward_workspace_bytes(rows, channels))) {
    const View<const float, 1> scale(w.data(), {channels});
    const View<float, 2> kept(inverse.data(), {rows, groups});
    gated_norm_cuda<T>(
        {.groups = groups, .x = all(x), .z = all(z), .w = scale, .y = all(y), .inverse = kept},
        nullptr);
    gated_norm_cuda_backward<T>(
        {.x = all(x),
         .z = all(z),
         .w = scale,
         .inverse = kept,
         .dy = all(dy),
         .dx = all(dx),
         .dz = all(dz),
         .dw = {dw.data(), {channels}}},
        {workspace.data(), gated_norm_cuda_backward_workspace_bytes(rows, channels)}, nullptr);
  }

  static int64_t bytes(int64_t rows, int64_t channels, int64_t groups) {
    return 6 * rows * channels * static_cast<int64_t>(sizeof(T)) +
           rows * groups * static_cast<int64_t>(sizeof(float)) +
           static_cast<int64_t>(gated_norm_cuda_backward_workspace_bytes(rows, channels));
  }

  View<T, 2> all(DeviceBuffer<T>& of) const { return {of.data(), {rows, channels}}; }

  int64_t rows, channels;
  EndOfZeros<T> x, z, dy;
  DeviceBuffer<T> y, dx, dz;
  DeviceBuffer<float> w, inverse, dw;
  DeviceBuffer<std::byte> workspace;
};

TEST(GatedNormCudaLarge, WhatLiesBehind2To31ElementsIsAsAlone) {
  // dx and dw in one kernel, in packs and one by one, and in two.
  struct Shape {
    int64_t channels, groups;
  };
  for (const auto& [channels, groups] : {Shape{1024, 1}, {1025, 1}, {1024, 4}, {8196, 1}}) {
    const int64_t all = testing::kLarge / channels + 1 + kRows;
    const std::string lack = testing::shortage(LargeGatedNorm::bytes(all, channels, groups));
    if (!lack.empty()) GTEST_SKIP() << lack;
    const LargeGatedNorm alone(kRows, channels, groups), large(all, channels, groups);
    const std::string what =
        "channels " + std::to_string(channels) + " groups " + std::to_string(groups);
    testing::expect_same_end(what + " y", alone.y, large.y);
    testing::expect_same_end(what + " inverse", alone.inverse, large.inverse);
    testing::expect_same_end(what + " dx", alone.dx, large.dx);
    testing::expect_same_end(what + " dz", alone.dz, large.dz);
    testing::expect_same_sum(what + " dw", alone.dw, large.dw, kRows);
  }
}

}  // namespace
}  // namespace longwave::ops
