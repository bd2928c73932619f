// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <complex>
#include <span>
#include <string>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/lti_scan/lti_scan_cuda.h"
#include "longwave/ops/testing/device_large.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::EndOfZeros;
using testing::noise;
using T = __nv_bfloat16;
using Complexes = DeviceBuffer<std::complex<float>>;

constexpr int64_t kTime = 64, kChannels = 1024, kModes = 4;

// Of so many modes: radii from `least` to `most`.
std::vector<std::complex<float>> polar(double least, double most, uint64_t seed) {
  Random random(seed);
  std::vector<std::complex<float>> numbers;
  for (int64_t i = 0; i < kChannels * kModes; ++i) {
    const double radius = random.uniform(least, most);
    numbers.push_back(std::complex<float>(std::polar(radius, random.uniform(-3.1, 3.1))));
  }
  return numbers;
}

// A scan and its gradient; zeros come before the last kTime steps, and so a state of zero.
struct LargeLtiScan {
  LargeLtiScan(int64_t batch, int64_t time)
      : size{batch, time, kChannels, kModes},
        u(count(), noise<T>(kTime * kChannels, 1)),
        dy(count(), noise<T>(kTime * kChannels, 2)),
        y(count()),
        du(count()),
        a(polar(0.3, 0.9, 3)),
        c(polar(0, 1, 4)),
        da(kChannels * kModes),
        dc(kChannels * kModes),
        h(batch * kChannels * kModes),
        dh0(batch * kChannels * kModes),
        d(noise<float>(kChannels, 5)),
        dd(kChannels),
        workspace(static_cast<int64_t>(workspace_bytes(size))) {
    const std::span<std::byte> scratch(workspace.data(), workspace_bytes(size));
    const size_t states = batch * kChannels * kModes * sizeof(std::complex<float>);
    testing::require_cuda(cudaMemset(h.data(), 0, states));
    lti_scan_cuda<T>({.u = signal(u),
                      .a = factor(a),
                      .c = factor(c),
                      .d = {d.data(), {kChannels}},
                      .h = state(h),
                      .y = signal(y)},
                     scratch, nullptr);
    testing::require_cuda(cudaMemset(h.data(), 0, states));
    lti_scan_cuda_backward<T>({.u = signal(u),
                               .a = factor(a),
                               .c = factor(c),
                               .d = {d.data(), {kChannels}},
                               .h0 = state(h),
                               .dy = signal(dy),
                               .du = signal(du),
                               .da = factor(da),
                               .dc = factor(dc),
                               .dd = {dd.data(), {kChannels}},
                               .dh0 = state(dh0)},
                              scratch, nullptr);
  }

  static size_t workspace_bytes(const LtiScanCudaSize& size) {
    return std::max(lti_scan_cuda_workspace_bytes<T>(size),
                    lti_scan_cuda_backward_workspace_bytes<T>(size));
  }
  static int64_t bytes(const LtiScanCudaSize& size) {
    return size.batch * kChannels *
               (4 * size.time * static_cast<int64_t>(sizeof(T)) +
                2 * kModes * static_cast<int64_t>(sizeof(std::complex<float>))) +
           static_cast<int64_t>(workspace_bytes(size));
  }

  int64_t count() const { return size.batch * size.time * kChannels; }
  View<T, 3> signal(DeviceBuffer<T>& of) const {
    return {of.data(), {size.batch, size.time, kChannels}};
  }
  View<std::complex<float>, 2> factor(Complexes& of) const {
    return {of.data(), {kChannels, kModes}};
  }
  View<std::complex<float>, 3> state(Complexes& of) const {
    return {of.data(), {size.batch, kChannels, kModes}};
  }

  LtiScanCudaSize size;
  EndOfZeros<T> u, dy;
  DeviceBuffer<T> y, du;
  Complexes a, c, da, dc, h, dh0;
  DeviceBuffer<float> d, dd;
  DeviceBuffer<std::byte> workspace;
};

// Both are spread over the GPU in their own way; factors are split in two bfloat16, and rounded to
// 2^-18, 64 times the rounding of float32.
constexpr int64_t kTerms = 64 * (10 * kModes + kTime);

std::vector<double> parts(const Complexes& numbers) {
  std::vector<double> all;
  for (const std::complex<float> x : numbers.host()) all.insert(all.end(), {x.real(), x.imag()});
  return all;
}

TEST(LtiScanCudaLarge, WhatLiesBehind2To31ElementsIsAsAlone) {
  const LargeLtiScan alone(1, kTime);
  for (const auto& [name, batch, time] : testing::large_shapes(kTime, kChannels)) {
    const std::string lack =
                          testing::shortage(LargeLtiScan::bytes({batch, time, kChannels, kModes})),
                      what = name;
    if (!lack.empty()) GTEST_SKIP() << lack;
    const LargeLtiScan large(batch, time);
    testing::expect_close_end(what + " y", alone.y, large.y, kTerms);
    testing::expect_close_end(what + " du", alone.du, large.du, kTerms);
    testing::expect_close_end(what + " dd", alone.dd, large.dd, kTerms);
    testing::expect_close<float>(what + " da", parts(alone.da), parts(large.da), kTerms);
    testing::expect_close<float>(what + " dc", parts(alone.dc), parts(large.dc), kTerms);
  }
}

}  // namespace
}  // namespace longwave::ops
