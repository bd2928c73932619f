// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "longwave/ops/causal_conv1d/causal_conv1d_cuda.h"
#include "longwave/ops/testing/device_large.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::EndOfZeros;
using testing::noise;
using T = __nv_bfloat16;

constexpr int64_t kTime = 64, kChannels = 1024;

// A convolution and its gradient; zeros come before the last kTime steps.
struct LargeConv {
  LargeConv(int64_t batch, int64_t time, int64_t width)
      : shape{batch, time, kChannels, width},
        x(count(), noise<T>(kTime * kChannels, 1)),
        dy(count(), noise<T>(kTime * kChannels, 2)),
        y(count()),
        dx(count()),
        w(noise<float>(kChannels * width, 3)),
        b(noise<float>(kChannels, 4)),
        dw(kChannels * width),
        db(kChannels),
        workspace(static_cast<int64_t>(causal_conv1d_cuda_backward_workspace_bytes(shape))) {
    const View<const float, 2> taps(w.data(), {kChannels, width});
    const View<const float, 1> bias(b.data(), {kChannels});
    causal_conv1d_cuda<T>(
        {.activation = ConvActivation::kSilu, .x = signal(x), .w = taps, .b = bias, .y = signal(y)},
        nullptr);
    causal_conv1d_cuda_backward<T>(
        {.activation = ConvActivation::kSilu,
         .x = signal(x),
         .w = taps,
         .b = bias,
         .dy = signal(dy),
         .dx = signal(dx),
         .dw = {dw.data(), {kChannels, width}},
         .db = {db.data(), {kChannels}}},
        {workspace.data(), causal_conv1d_cuda_backward_workspace_bytes(shape)}, nullptr);
  }

  static int64_t bytes(const CausalConv1dShape& shape) {
    return 4 * shape.batch * shape.time * kChannels * static_cast<int64_t>(sizeof(T)) +
           static_cast<int64_t>(causal_conv1d_cuda_backward_workspace_bytes(shape));
  }

  int64_t count() const { return shape.batch * shape.time * kChannels; }
  View<T, 3> signal(DeviceBuffer<T>& of) const {
    return {of.data(), {shape.batch, shape.time, kChannels}};
  }

  CausalConv1dShape shape;
  EndOfZeros<T> x, dy;
  DeviceBuffer<T> y, dx;
  DeviceBuffer<float> w, b, dw, db;
  DeviceBuffer<std::byte> workspace;
};

TEST(CausalConv1dCudaLarge, WhatLiesBehind2To31ElementsIsAsAlone) {
  for (const int64_t width : {4, 3}) {  // by packs of channels, and each alone
    const LargeConv alone(1, kTime, width);
    for (const auto& [name, batch, time] : testing::large_shapes(kTime, kChannels)) {
      const std::string lack = testing::shortage(LargeConv::bytes({batch, time, kChannels, width}));
      if (!lack.empty()) GTEST_SKIP() << lack;
      const LargeConv large(batch, time, width);
      const std::string what = std::string(name) + " width " + std::to_string(width);
      testing::expect_same_end(what + " y", alone.y, large.y);
      testing::expect_same_end(what + " dx", alone.dx, large.dx);
      testing::expect_same_sum(what + " dw", alone.dw, large.dw, kTime);
      testing::expect_same_sum(what + " db", alone.db, large.db, kTime);
    }
  }
}

}  // namespace
}  // namespace longwave::ops
