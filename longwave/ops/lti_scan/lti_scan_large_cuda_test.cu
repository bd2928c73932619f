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

constexpr int64_t kChannels = 1024, kModes = 12;

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

// A scan and its gradient; zeros come before the last `noisy` steps, and so a state of zero.
struct LargeLtiScan {
  LargeLtiScan(int64_t batch, int64_t time, int64_t noisy)
      : size{batch, time, kChannels, kModes},
        u(count(), noise<T>(noisy * kChannels, 1)),
        dy(count(), noise<T>(noisy * kChannels, 2)),
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
int64_t terms(int64_t noisy) { return 64 * (10 * kModes + noisy); }

std::vector<double> parts(const Complexes& numbers) {
  std::vector<double> all;
  for (const std::complex<float> x : numbers.host()) all.insert(all.end(), {x.real(), x.imag()});
  return all;
}

void expect_as_alone(const testing::LargeShape& shape, int64_t noisy) {
  const std::string lack = testing::shortage(
                        LargeLtiScan::bytes({shape.batch, shape.time, kChannels, kModes})),
                    what = shape.name + (" with noise in " + std::to_string(noisy));
  if (!lack.empty()) GTEST_SKIP() << lack;
  // As many sequences as make the same plan.
  const LargeLtiScan alone(std::min<int64_t>(shape.batch, 8), noisy, noisy),
      large(shape.batch, shape.time, noisy);
  testing::expect_close_end(what + " y", alone.y, large.y, terms(noisy));
  testing::expect_close_end(what + " du", alone.du, large.du, terms(noisy));
  testing::expect_close_end(what + " dd", alone.dd, large.dd, terms(noisy));
  testing::expect_close<float>(what + " da", parts(alone.da), parts(large.da), terms(noisy));
  testing::expect_close<float>(what + " dc", parts(alone.dc), parts(large.dc), terms(noisy));
}

TEST(LtiScanCudaLarge, WhatLiesBehind2To31ElementsIsAsAlone) {
  for (const testing::LargeShape& shape : testing::large_shapes(64, kChannels)) {
    expect_as_alone(shape, 64);
  }
}

// Of two stages of the scan through boxes.
TEST(LtiScanCudaLarge, SequencesOfTwoStagesAreAsAloneToo) {
  expect_as_alone(testing::large_shapes(1024, kChannels)[0], 1024);
}

}  // namespace
}  // namespace longwave::ops
