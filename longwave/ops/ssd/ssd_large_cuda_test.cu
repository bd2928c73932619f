// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "longwave/ops/ssd/ssd_cuda.h"
#include "longwave/ops/ssd/ssd_plan_cuda.h"
#include "longwave/ops/testing/device_large.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::EndOfZeros;
using testing::noise;
using T = __nv_bfloat16;

// A chunk of as many numbers as a state has: those of all chunks also lie behind 2^31 elements.
constexpr int64_t kTime = 64, kHeads = 16, kHeadDim = 64, kState = 64;
constexpr int64_t kChannels = kHeads * kHeadDim;

std::vector<double> rates() {
  std::vector<double> numbers = noise<float>(kHeads, 5);
  for (double& x : numbers) x = -std::exp(x);
  return numbers;
}

// How both passes are spread over a GPU.
struct Spread {
  SsdPlan scan;
  SsdGradPlan gradient;
};

Spread spread(const SsdSize& size, SsdEngine engine) {
  constexpr int64_t kGradHeads = 4;
  const int64_t segments = size.batch == 1 && size.time > kTime ? 4 : 1;
  const gpu::Capacity capacity = gpu::present_capacity("test");
  Spread how{ssd_plan<T>(size, capacity, 2, segments),
             ssd_grad_plan<T>(size, capacity, kGradHeads)};
  how.gradient.march = how.scan;
  if (engine == SsdEngine::kWarpgroups) how.scan = ssd_warpgroup_plan<T>(size, 2, segments);
  how.gradient.engine = engine;
  return how;
}

// A scan and its gradient; zeros come before the last kTime steps, and so a state of zero.
struct LargeSsd {
  LargeSsd(int64_t batch, int64_t time, SsdEngine engine)
      : size{batch, time, kHeads, kHeadDim, 1, kState},
        x(batch * time * kChannels, noise<T>(kTime * kChannels, 1)),
        dy(batch * time * kChannels, noise<T>(kTime * kChannels, 2)),
        dt(batch * time * kHeads, noise<T>(kTime * kHeads, 3)),
        B(batch * time * kState, noise<T>(kTime * kState, 4)),
        C(batch * time * kState, noise<T>(kTime * kState, 6)),
        h(batch * kChannels * kState, {}),
        y(batch * time * kChannels),
        dx(batch * time * kChannels),
        ddt(batch * time * kHeads),
        dB(batch * time * kState),
        dC(batch * time * kState),
        A(rates()),
        D(noise<float>(kHeads, 7)),
        dA(kHeads),
        dD(kHeads),
        dh0(batch * kChannels * kState),
        workspace(static_cast<int64_t>(workspace_bytes(size, engine))) {
    const Spread how = spread(size, engine);
    const std::span<std::byte> scratch(workspace.data(), workspace_bytes(size, engine));
    const SsdCudaInputs<T> in{.x = signal(x),
                              .dt = steps(dt),
                              .A = {A.data(), {kHeads}},
                              .B = rows(B),
                              .C = rows(C),
                              .D = {D.data(), {kHeads, 1}}};
    ssd_by_plan(SsdCudaArgs<T>{.in = in, .h = state(h), .y = signal(y)}, how.scan, scratch,
                nullptr);
    ssd_grad_by_plan(SsdCudaGradArgs<T>{.in = in,
                                        .dy = signal(dy),
                                        .dx = signal(dx),
                                        .ddt = steps(ddt),
                                        .dA = {dA.data(), {kHeads}},
                                        .dB = rows(dB),
                                        .dC = rows(dC),
                                        .dD = {dD.data(), {kHeads, 1}},
                                        .dh0 = state(dh0)},
                     how.gradient, scratch, nullptr);
  }

  static size_t workspace_bytes(const SsdSize& size, SsdEngine engine) {
    const Spread how = spread(size, engine);
    return std::max(ssd_plan_bytes(size, how.scan), ssd_grad_plan_bytes<T>(size, how.gradient));
  }
  static int64_t bytes(const SsdSize& size, SsdEngine engine) {
    const int64_t numbers = size.batch * size.time * (4 * kChannels + 2 * kHeads + 4 * kState);
    return numbers * static_cast<int64_t>(sizeof(T)) +
           2 * size.batch * kChannels * kState * static_cast<int64_t>(sizeof(float)) +
           static_cast<int64_t>(workspace_bytes(size, engine));
  }

  View<T, 4> signal(DeviceBuffer<T>& of) const {
    return {of.data(), {size.batch, size.time, kHeads, kHeadDim}};
  }
  View<T, 3> steps(DeviceBuffer<T>& of) const {
    return {of.data(), {size.batch, size.time, kHeads}};
  }
  View<T, 4> rows(DeviceBuffer<T>& of) const {
    return {of.data(), {size.batch, size.time, 1, kState}};
  }
  View<float, 4> state(DeviceBuffer<float>& of) const {
    return {of.data(), {size.batch, kHeads, kHeadDim, kState}};
  }

  SsdSize size;
  EndOfZeros<T> x, dy, dt, B, C;
  EndOfZeros<float> h;
  DeviceBuffer<T> y, dx, ddt, dB, dC;
  DeviceBuffer<float> A, D, dA, dD, dh0;
  DeviceBuffer<std::byte> workspace;
};

void expect_end(const std::string& what, const LargeSsd& alone, const LargeSsd& large) {
  testing::expect_same_end(what + " y", alone.y, large.y);
  testing::expect_same_end(what + " h", alone.h, large.h);
  testing::expect_same_end(what + " dx", alone.dx, large.dx);
  testing::expect_same_end(what + " ddt", alone.ddt, large.ddt);
  testing::expect_same_end(what + " dB", alone.dB, large.dB);
  testing::expect_same_end(what + " dC", alone.dC, large.dC);
  // Of a long sequence this is the gradient of the first state, many decays before.
  if (large.size.batch > 1) testing::expect_same_end(what + " dh0", alone.dh0, large.dh0);
  testing::expect_same_sum(what + " dA", alone.dA, large.dA, kTime * kChannels);
  testing::expect_same_sum(what + " dD", alone.dD, large.dD, kTime * kChannels);
}

TEST(SsdCudaLarge, WhatLiesBehind2To31ElementsIsAsAlone) {
  for (const SsdEngine engine : {SsdEngine::kWarps, SsdEngine::kWarpgroups}) {
    const bool warps = engine == SsdEngine::kWarps;
    if (!warps && !ssd_fits_warpgroups<T>({1, kTime, kHeads, kHeadDim, 1, kState})) break;
    const LargeSsd alone(1, kTime, engine);
    for (const auto& [name, batch, time] : testing::large_shapes(kTime, kChannels)) {
      const std::string lack =
          testing::shortage(LargeSsd::bytes({batch, time, kHeads, kHeadDim, 1, kState}, engine));
      if (!lack.empty()) GTEST_SKIP() << lack;
      const LargeSsd large(batch, time, engine);
      expect_end(std::string(name) + (warps ? " on warps" : " on warpgroups"), alone, large);
    }
  }
}

// A step of sequences whose states are zero but for the last one's.
struct LargeSsdStep {
  explicit LargeSsdStep(int64_t batch)
      : x(batch * kChannels, noise<T>(kChannels, 1)),
        dt(batch * kHeads, noise<T>(kHeads, 2)),
        B(batch * kState, noise<T>(kState, 3)),
        C(batch * kState, noise<T>(kState, 4)),
        h(batch * kChannels * kState, noise<float>(kChannels * kState, 5)),
        y(batch * kChannels),
        A(rates()) {
    ssd_cuda<T>({.in = {.x = {x.data(), {batch, 1, kHeads, kHeadDim}},
                        .dt = {dt.data(), {batch, 1, kHeads}},
                        .A = {A.data(), {kHeads}},
                        .B = {B.data(), {batch, 1, 1, kState}},
                        .C = {C.data(), {batch, 1, 1, kState}}},
                 .h = {h.data(), {batch, kHeads, kHeadDim, kState}},
                 .y = {y.data(), {batch, 1, kHeads, kHeadDim}}},
                {}, nullptr);
  }

  EndOfZeros<T> x, dt, B, C;
  EndOfZeros<float> h;
  DeviceBuffer<T> y;
  DeviceBuffer<float> A;
};

TEST(SsdCudaLarge, AStepBehind2To31StatesIsAsAlone) {
  constexpr int64_t kBatch = testing::kLarge / (kChannels * kState) + 2;
  constexpr int64_t kFloats = kChannels * (kState + 2), kBytes = kBatch * kFloats * 4;
  const std::string lack = testing::shortage(kBytes);
  if (!lack.empty()) GTEST_SKIP() << lack;
  const LargeSsdStep alone(1), large(kBatch);
  testing::expect_same_end("y", alone.y, large.y);
  testing::expect_same_end("h", alone.h, large.h);
}

}  // namespace
}  // namespace longwave::ops
