// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "longwave/ops/linear_scan/linear_scan_cuda.h"
#include "longwave/ops/testing/device_large.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::EndOfZeros;
using testing::noise;
using T = __nv_bfloat16;

constexpr int64_t kTime = 64, kChannels = 1024;

// Factors below 1, so that what goes back through all zeros of a long sequence stays finite.
std::vector<double> decays(int64_t count) {
  std::vector<double> numbers = noise<T>(count, 1);
  for (double& x : numbers) x = std::tanh(x) / 2;
  return numbers;
}

// A scan and its gradient; zeros come before the last kTime steps, and so a state of zero. Factors
// have one step for all, or each step its own.
struct LargeLinearScan {
  LargeLinearScan(int64_t batch, int64_t time, int64_t factors)
      : size{batch, time, kChannels},
        segments(linear_scan_segments(size)),
        factors(factors),
        a(batch * factors * kChannels, decays(std::min(factors, kTime) * kChannels)),
        b(count(), noise<T>(kTime * kChannels, 2)),
        dh(count(), noise<T>(kTime * kChannels, 3)),
        h(count()),
        da(batch * factors * kChannels),
        db(count()),
        dfinal(batch * kChannels, noise<float>(kChannels, 4)),
        final(batch * kChannels),
        dh0(batch * kChannels),
        workspace(static_cast<int64_t>(linear_scan_cuda_workspace_bytes(size, segments))) {
    const std::span<std::byte> scratch(workspace.data(),
                                       linear_scan_cuda_workspace_bytes(size, segments));
    linear_scan_cuda<T>({.a = factor(a), .b = signal(b), .h = signal(h), .final = row(final)},
                        segments, scratch, nullptr);
    linear_scan_cuda_backward<T>({.a = factor(a),
                                  .h = signal(h),
                                  .dh = signal(dh),
                                  .dfinal = row(dfinal),
                                  .da = factor(da),
                                  .db = signal(db),
                                  .dh0 = row(dh0)},
                                 segments, scratch, nullptr);
  }

  static int64_t bytes(const LinearScanCudaSize& size) {
    return size.batch * kChannels *
               (6 * size.time * static_cast<int64_t>(sizeof(T)) +
                3 * static_cast<int64_t>(sizeof(float))) +
           static_cast<int64_t>(linear_scan_cuda_workspace_bytes(size, linear_scan_segments(size)));
  }

  int64_t count() const { return size.batch * size.time * kChannels; }
  View<T, 3> signal(DeviceBuffer<T>& of) const {
    return {of.data(), {size.batch, size.time, kChannels}};
  }
  View<T, 3> factor(DeviceBuffer<T>& of) const {
    return {of.data(), {size.batch, factors, kChannels}};
  }
  View<float, 2> row(DeviceBuffer<float>& of) const { return {of.data(), {size.batch, kChannels}}; }

  LinearScanCudaSize size;
  int64_t segments, factors;
  EndOfZeros<T> a, b, dh;
  DeviceBuffer<T> h, da, db;
  EndOfZeros<float> dfinal;
  DeviceBuffer<float> final, dh0;
  DeviceBuffer<std::byte> workspace;
};

TEST(LinearScanCudaLarge, WhatLiesBehind2To31ElementsIsAsAlone) {
  for (const bool shared : {false, true}) {
    const LargeLinearScan alone(1, kTime, shared ? 1 : kTime);
    for (const auto& [name, batch, time] : testing::large_shapes(kTime, kChannels)) {
      const std::string lack = testing::shortage(LargeLinearScan::bytes({batch, time, kChannels}));
      if (!lack.empty()) GTEST_SKIP() << lack;
      const LargeLinearScan large(batch, time, shared ? 1 : time);
      const std::string what = std::string(name) + (shared ? " of one factor" : "");
      testing::expect_same_end(what + " h", alone.h, large.h);
      testing::expect_same_end(what + " final", alone.final, large.final);
      testing::expect_same_end(what + " db", alone.db, large.db);
      testing::expect_same_end(what + " da", alone.da, large.da);
    }
  }
}

}  // namespace
}  // namespace longwave::ops
