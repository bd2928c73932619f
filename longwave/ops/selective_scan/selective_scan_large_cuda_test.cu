// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "longwave/ops/selective_scan/selective_scan_cuda.h"
#include "longwave/ops/selective_scan/testing/selective_problem.h"
#include "longwave/ops/testing/device_large.h"

namespace longwave::ops {
namespace {

using testing::DeviceBuffer;
using testing::EndOfZeros;
using testing::noise;
using T = __nv_bfloat16;

constexpr int64_t kTime = 64, kChannels = 1024, kState = 16;

std::vector<double> rates() {
  std::vector<double> numbers = noise<float>(kChannels * kState, 5);
  for (double& x : numbers) x = -std::exp(x);
  return numbers;
}

// A scan and its gradient; zeros come before the last kTime steps, and so a state of zero.
struct LargeSelectiveScan {
  LargeSelectiveScan(int64_t batch, int64_t time)
      : batch(batch),
        time(time),
        u(signals(), noise<T>(kTime * kChannels, 1)),
        dt(signals(), noise<T>(kTime * kChannels, 2)),
        z(signals(), noise<T>(kTime * kChannels, 3)),
        dy(signals(), noise<T>(kTime * kChannels, 4)),
        B(inputs(), noise<T>(kTime * kState, 6)),
        C(inputs(), noise<T>(kTime * kState, 7)),
        h(batch * kChannels * kState, {}),
        y(signals()),
        du(signals()),
        ddt(signals()),
        dz(signals()),
        dB(inputs()),
        dC(inputs()),
        A(rates()),
        D(noise<float>(kChannels, 8)),
        dt_bias(noise<float>(kChannels, 9)),
        states(batch * chunks() * kState * kChannels),
        dA(kChannels * kState),
        dD(kChannels),
        ddt_bias(kChannels),
        dh0(batch * kChannels * kState),
        workspace(static_cast<int64_t>(workspace_bytes(batch, time))) {
    const SelectiveScanCudaInputs<T> in{.u = signal(u),
                                        .dt = signal(dt),
                                        .A = {A.data(), {kChannels, kState}},
                                        .B = input(B),
                                        .C = input(C),
                                        .D = {D.data(), {kChannels}},
                                        .dt_bias = {dt_bias.data(), {kChannels}},
                                        .z = signal(z)};
    const View<float, 4> kept(states.data(), {batch, chunks(), kState, kChannels});
    const std::span<std::byte> scratch(workspace.data(), workspace_bytes(batch, time));
    selective_scan_cuda({.in = in, .h = state(h), .y = signal(y), .states = kept}, scratch,
                        nullptr);
    selective_scan_cuda_backward(
        SelectiveScanCudaGradArgs<T>{.in = in,
                                     .states = kept,
                                     .dy = signal(dy),
                                     .du = signal(du),
                                     .ddt = signal(ddt),
                                     .dA = {dA.data(), {kChannels, kState}},
                                     .dB = input(dB),
                                     .dC = input(dC),
                                     .dD = {dD.data(), {kChannels}},
                                     .ddt_bias = {ddt_bias.data(), {kChannels}},
                                     .dz = signal(dz),
                                     .dh0 = state(dh0)},
        scratch, nullptr);
  }

  static size_t workspace_bytes(int64_t batch, int64_t time) {
    const SelectiveScanCudaSize size{batch, time, kChannels, 1, kState};
    return std::max(selective_scan_cuda_workspace_bytes(size),
                    selective_scan_cuda_backward_workspace_bytes(size));
  }
  static int64_t bytes(int64_t batch, int64_t time) {
    const int64_t numbers = batch * time * (8 * kChannels + 4 * kState);
    const int64_t states = batch * kState * kChannels * (selective_scan_chunks(time, kState) + 2);
    return numbers * static_cast<int64_t>(sizeof(T)) +
           states * static_cast<int64_t>(sizeof(float)) +
           static_cast<int64_t>(workspace_bytes(batch, time));
  }

  int64_t signals() const { return batch * time * kChannels; }
  int64_t inputs() const { return batch * time * kState; }
  int64_t chunks() const { return selective_scan_chunks(time, kState); }
  View<T, 3> signal(DeviceBuffer<T>& of) const { return {of.data(), {batch, time, kChannels}}; }
  View<T, 4> input(DeviceBuffer<T>& of) const { return {of.data(), {batch, time, 1, kState}}; }
  View<float, 3> state(DeviceBuffer<float>& of) const {
    return {of.data(), {batch, kChannels, kState}};
  }

  int64_t batch, time;
  EndOfZeros<T> u, dt, z, dy, B, C;
  EndOfZeros<float> h;
  DeviceBuffer<T> y, du, ddt, dz, dB, dC;
  DeviceBuffer<float> A, D, dt_bias, states, dA, dD, ddt_bias, dh0;
  DeviceBuffer<std::byte> workspace;
};

// Both are spread over the GPU in their own way, and round accordingly.
TEST(SelectiveScanCudaLarge, WhatLiesBehind2To31ElementsIsAsAlone) {
  const LargeSelectiveScan alone(1, kTime);
  const testing::SelectiveSize size{1, kTime, kChannels, 1, kState};
  const int64_t outputs = testing::output_terms(size), gradients = testing::gradient_terms(size);
  for (const auto& [name, batch, time] : testing::large_shapes(kTime, kChannels)) {
    const std::string lack = testing::shortage(LargeSelectiveScan::bytes(batch, time)), what = name;
    if (!lack.empty()) GTEST_SKIP() << lack;
    const LargeSelectiveScan large(batch, time);
    testing::expect_close_end(what + " y", alone.y, large.y, outputs);
    testing::expect_close_end(what + " h", alone.h, large.h, outputs);
    testing::expect_close_end(what + " du", alone.du, large.du, gradients);
    testing::expect_close_end(what + " ddt", alone.ddt, large.ddt, gradients);
    testing::expect_close_end(what + " dz", alone.dz, large.dz, gradients);
    testing::expect_close_end(what + " dB", alone.dB, large.dB, gradients);
    testing::expect_close_end(what + " dC", alone.dC, large.dC, gradients);
    testing::expect_same_sum(what + " dA", alone.dA, large.dA, gradients);
    testing::expect_same_sum(what + " dD", alone.dD, large.dD, gradients);
    testing::expect_same_sum(what + " ddt_bias", alone.ddt_bias, large.ddt_bias, gradients);
  }
}

// A step of sequences whose states are zero but for the last one's.
struct LargeSelectiveStep {
  explicit LargeSelectiveStep(int64_t batch)
      : u(batch * kChannels, noise<T>(kChannels, 1)),
        dt(batch * kChannels, noise<T>(kChannels, 2)),
        B(batch * kState, noise<T>(kState, 3)),
        C(batch * kState, noise<T>(kState, 4)),
        h(batch * kChannels * kState, noise<float>(kChannels * kState, 5)),
        y(batch * kChannels),
        A(rates()) {
    selective_scan_cuda({.in = {.u = {u.data(), {batch, 1, kChannels}},
                                .dt = {dt.data(), {batch, 1, kChannels}},
                                .A = {A.data(), {kChannels, kState}},
                                .B = {B.data(), {batch, 1, 1, kState}},
                                .C = {C.data(), {batch, 1, 1, kState}}},
                         .h = {h.data(), {batch, kChannels, kState}},
                         .y = {y.data(), {batch, 1, kChannels}},
                         .states = {}},
                        {}, nullptr);
  }

  EndOfZeros<T> u, dt, B, C;
  EndOfZeros<float> h;
  DeviceBuffer<T> y;
  DeviceBuffer<float> A;
};

TEST(SelectiveScanCudaLarge, AStepBehind2To31StatesIsAsAlone) {
  constexpr int64_t kBatch = testing::kLarge / (kChannels * kState) + 2;
  constexpr int64_t kFloats = kChannels * (kState + 2), kBytes = kBatch * kFloats * 4;
  const std::string lack = testing::shortage(kBytes);
  if (!lack.empty()) GTEST_SKIP() << lack;
  const LargeSelectiveStep alone(1), large(kBatch);
  const int64_t terms = testing::output_terms({1, 1, kChannels, 1, kState});
  testing::expect_close_end("y", alone.y, large.y, terms);
  testing::expect_close_end("h", alone.h, large.h, terms);
}

}  // namespace
}  // namespace longwave::ops
