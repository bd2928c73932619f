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
constexpr int64_t kChannels = 1024;

// A norm and its gradient.
struct LargeGatedNorm {
  LargeGatedNorm(int64_t rows, int64_t groups)
      : rows(rows),
        x(rows * kChannels, noise<T>(kRows * kChannels, 1)),
        z(rows * kChannels, noise<T>(kRows * kChannels, 2)),
        dy(rows * kChannels, noise<T>(kRows * kChannels, 3)),
        y(rows * kChannels),
        dx(rows * kChannels),
        dz(rows * kChannels),
        w(noise<float>(kChannels, 4)),
        inverse(rows * groups),
        dw(kChannels),
        workspace(static_cast<int64_t>(gated_norm_cuda_backward_workspace_bytes(rows, kChannels))) {
    const View<const float, 1> scale(w.data(), {kChannels});
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
         .dw = {dw.data(), {kChannels}}},
        {workspace.data(), gated_norm_cuda_backward_workspace_bytes(rows, kChannels)}, nullptr);
  }

  static int64_t bytes(int64_t rows, int64_t groups) {
    return 6 * rows * kChannels * static_cast<int64_t>(sizeof(T)) +
           rows * groups * static_cast<int64_t>(sizeof(float)) +
           static_cast<int64_t>(gated_norm_cuda_backward_workspace_bytes(rows, kChannels));
  }

  View<T, 2> all(DeviceBuffer<T>& of) const { return {of.data(), {rows, kChannels}}; }

  int64_t rows;
  EndOfZeros<T> x, z, dy;
  DeviceBuffer<T> y, dx, dz;
  DeviceBuffer<float> w, inverse, dw;
  DeviceBuffer<std::byte> workspace;
};

TEST(GatedNormCudaLarge, WhatLiesBehind2To31ElementsIsAsAlone) {
  constexpr int64_t kAll = testing::kLarge / kChannels + kRows;
  for (const int64_t groups : {1, 4}) {  // dx and dw in one kernel, and in two
    const std::string lack = testing::shortage(LargeGatedNorm::bytes(kAll, groups));
    if (!lack.empty()) GTEST_SKIP() << lack;
    const LargeGatedNorm alone(kRows, groups), large(kAll, groups);
    const std::string what = "groups " + std::to_string(groups);
    testing::expect_same_end(what + " y", alone.y, large.y);
    testing::expect_same_end(what + " inverse", alone.inverse, large.inverse);
    testing::expect_same_end(what + " dx", alone.dx, large.dx);
    testing::expect_same_end(what + " dz", alone.dz, large.dz);
    testing::expect_same_sum(what + " dw", alone.dw, large.dw, kRows);
  }
}

}  // namespace
}  // namespace longwave::ops
