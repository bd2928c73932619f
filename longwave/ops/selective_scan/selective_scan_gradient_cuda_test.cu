// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/ops/selective_scan/testing/selective_agree.h"
#include "longwave/ops/selective_scan/testing/selective_grad_device.h"
#include "longwave/ops/testing/device_timer.h"

namespace longwave::ops {
namespace {

using testing::gradient_terms;
using testing::kSelectiveSizes;
using testing::kSelectiveVariants;
using testing::name;
using testing::SelectiveGradDevice;
using testing::Tolerance;
using testing::Worst;
using Size = testing::SelectiveSize;
using Variant = testing::SelectiveVariant;
using Oracle = testing::SelectiveProblem<double>;

constexpr Variant kPacked = {StepSize::kSoftplus, Variant::Optional::kAll,
                             Variant::Packing::kStarts};

template <typename T>
class SelectiveScanGradientCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(SelectiveScanGradientCuda, Types);

// Operands that T holds, and the gradients of them.
template <typename T>
Oracle solved(const Size& size, uint64_t seed, const Variant& variant) {
  Oracle oracle(size, seed, variant);
  testing::round_operands<T>(oracle);
  for (double& x : oracle.dy) x = static_cast<double>(static_cast<float>(static_cast<T>(x)));
  oracle.both();
  return oracle;
}

template <typename T>
void expect_gradients(const std::string& what, const Oracle& oracle,
                      const SelectiveGradDevice<T>& device) {
  const auto expected = oracle.gradients();
  const auto got = device.gradients();
  ASSERT_EQ(expected.size(), got.size());
  for (size_t k = 0; k < got.size(); ++k) {
    const std::vector<double>& wanted = *expected[k].second;
    ASSERT_EQ(wanted.size(), got[k].size()) << what << ' ' << expected[k].first;
    if (wanted.empty()) continue;
    double largest = 1;
    for (const double x : wanted) largest = std::max(largest, std::abs(x));
    Worst worst(what + ' ' + expected[k].first);
    for (size_t i = 0; i < wanted.size(); ++i) {
      Tolerance bound = Tolerance::sum<float>(gradient_terms(oracle.size), largest);
      bound.bound += testing::rounding<T>(wanted[i]);
      worst.compare(static_cast<int64_t>(i), wanted[i], got[k][i], bound);
    }
    EXPECT_TRUE(worst.ok());
  }
}

// How a gradient can be spread: as it is, whole, and cut with each way to carry the adjoint on.
std::vector<SelectiveScanPlan> plans(const Oracle& oracle) {
  const auto [batch, time, channels, groups, state] = oracle.size;
  const SelectiveScanCudaSize size{batch, time, channels, groups, state};
  return {selective_grad_plan(size), selective_grad_plan(size, 1), selective_grad_plan(size, 3),
          selective_grad_plan(size, 3, SelectiveCarry::kHandOver),
          selective_grad_plan(size, 3, SelectiveCarry::kChain)};
}

std::string name(const SelectiveScanPlan& plan) {
  constexpr std::array kCarries = {"", " handed over", " in a chain"};
  return " segments " + std::to_string(plan.segments) + kCarries[static_cast<int>(plan.carry)];
}

TYPED_TEST(SelectiveScanGradientCuda, EveryPlanAgreesWithTheOracle) {
  for (const Size& size : kSelectiveSizes) {
    for (const Variant& variant : kSelectiveVariants) {
      const Oracle oracle = solved<TypeParam>(size, 1, variant);
      for (const SelectiveScanPlan& plan : plans(oracle)) {
        SelectiveGradDevice<TypeParam> device(oracle);
        device.run(device.args(), plan);
        expect_gradients(name(size) + name(plan), oracle, device);
      }
    }
  }
}

TYPED_TEST(SelectiveScanGradientCuda, SeveralBlocksOfChannelsAgreeWithTheOracle) {
  for (const Size& size : {Size{2, 100, 200, 1, 16}, Size{1, 70, 256, 2, 16},
                           Size{1, 130, 50, 1, 64}, Size{1, 64, 128, 1, 16}}) {
    const Oracle oracle = solved<TypeParam>(size, 2, kPacked);
    for (const SelectiveScanPlan& plan : plans(oracle)) {
      SelectiveGradDevice<TypeParam> device(oracle);
      device.run(device.args(), plan);
      expect_gradients(name(size) + name(plan), oracle, device);
    }
  }
}

TYPED_TEST(SelectiveScanGradientCuda, ChainsOfAnyLengthAgreeWithTheOracle) {
  // Several rounds of tiles, the last one whole or not, up to as many blocks as tiles.
  for (const int64_t time : {1217, 1248}) {
    const Oracle oracle = solved<TypeParam>({2, time, 70, 1, 16}, 7, kPacked);
    for (const int64_t blocks : {2, 5, 12, 64}) {
      SelectiveGradDevice<TypeParam> device(oracle);
      const auto plan = selective_grad_plan(device.size(), blocks, SelectiveCarry::kChain);
      device.run(device.args(), plan);
      expect_gradients(name(oracle.size) + name(plan), oracle, device);
    }
  }
}

TYPED_TEST(SelectiveScanGradientCuda, AChainThatTheChipDoesNotHoldIsShortened) {
  const Oracle oracle = solved<TypeParam>({8, 100, 1024, 1, 16}, 11, kPacked);
  SelectiveGradDevice<TypeParam> device(oracle);
  device.run(device.args(), selective_grad_plan(device.size(), 100, SelectiveCarry::kChain));
  expect_gradients(name(oracle.size), oracle, device);
}

TYPED_TEST(SelectiveScanGradientCuda, ASequenceStartsAnywhere) {
  Oracle oracle({1, 100, 24, 1, 16}, 8, kPacked);
  testing::round_operands<TypeParam>(oracle);
  for (double& x : oracle.dy) x = static_cast<double>(static_cast<float>(TypeParam(float(x))));
  const std::vector<double> h0 = oracle.h;
  for (const int64_t start : {0, 1, 3, 4, 5, 27, 28, 29, 31, 32, 33, 36, 63, 64, 95, 96, 99}) {
    std::fill(oracle.starts.begin(), oracle.starts.end(), 0);
    oracle.starts[start] = 1;
    oracle.h = h0;
    oracle.both();
    for (const SelectiveScanPlan& plan : plans(oracle)) {
      SelectiveGradDevice<TypeParam> device(oracle);
      device.run(device.args(), plan);
      expect_gradients("start " + std::to_string(start) + name(plan), oracle, device);
    }
  }
}

TYPED_TEST(SelectiveScanGradientCuda, AnAbsentFinalGradientIsZero) {
  const Size size{2, 45, 20, 1, 16};
  Oracle oracle(size, 3, kPacked);
  testing::round_operands<TypeParam>(oracle);
  for (double& x : oracle.dy) x = static_cast<double>(static_cast<float>(TypeParam(float(x))));
  std::fill(oracle.dh.begin(), oracle.dh.end(), 0.0);
  oracle.both();
  SelectiveGradDevice<TypeParam> device(oracle);
  auto args = device.args();
  args.dh = {};
  device.run(args, selective_grad_plan(device.size()));
  expect_gradients("no dh", oracle, device);
}

TYPED_TEST(SelectiveScanGradientCuda, SameArgumentsSameBits) {
  const Oracle oracle = solved<TypeParam>({2, 500, 96, 1, 16}, 4, kPacked);
  for (const SelectiveScanPlan& plan : plans(oracle)) {
    SelectiveGradDevice<TypeParam> one(oracle), other(oracle);
    one.run(one.args(), plan);
    other.run(other.args(), plan);
    EXPECT_EQ(one.gradients(), other.gradients()) << name(plan);
  }
}

TYPED_TEST(SelectiveScanGradientCuda, ARecordedChainGivesTheSameBits) {
  const Oracle oracle = solved<TypeParam>({2, 200, 70, 1, 16}, 10, kPacked);
  SelectiveGradDevice<TypeParam> queued(oracle), recorded(oracle);
  const auto plan = selective_grad_plan(queued.size(), 3, SelectiveCarry::kChain);
  queued.run(queued.args(), plan);
  const size_t bytes = selective_grad_plan_bytes(recorded.size(), plan);
  testing::DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
  testing::time_recorded(2, 3, [&](int64_t, cudaStream_t stream) {
    selective_scan_grad_by_plan(recorded.args(), plan, {workspace.data(), bytes}, stream);
  });
  EXPECT_EQ(queued.gradients(), recorded.gradients());
}

TYPED_TEST(SelectiveScanGradientCuda, WhatPrecededASequenceDoesNotMatter) {
  const Size size{1, 150, 37, 1, 16};
  Oracle clean(size, 5, kPacked);
  testing::round_operands<TypeParam>(clean);
  clean.starts[0] = 1;
  clean.both();
  Oracle dirty = clean;
  const int64_t first = size.state * size.channels;  // the state before the first step
  std::fill(dirty.states.begin(), dirty.states.begin() + first,
            std::numeric_limits<double>::infinity());
  for (const SelectiveScanPlan& plan : plans(clean)) {
    SelectiveGradDevice<TypeParam> one(clean), other(dirty);
    one.run(one.args(), plan);
    other.run(other.args(), plan);
    EXPECT_EQ(one.gradients(), other.gradients()) << name(plan);
  }
}

// Gradients of the steps before one, and of the state before the first.
template <typename T>
std::vector<double> gradients_before(const SelectiveGradDevice<T>& device, int64_t step) {
  const auto [batch, time, channels, groups, state] = device.size();
  const auto all = device.gradients();
  std::vector<double> early = all[5];  // dh0
  const auto add = [&](int which, int64_t row) {
    early.insert(early.end(), all[which].begin(), all[which].begin() + step * row);
  };
  add(0, channels), add(1, channels), add(8, channels);  // du, ddt, dz
  add(3, groups * state), add(4, groups * state);        // dB, dC
  return early;
}

TYPED_TEST(SelectiveScanGradientCuda, WhatFollowsASequenceDoesNotMatter) {
  constexpr int64_t kTime = 150;
  Oracle clean({1, kTime, 37, 1, 16}, 9, kPacked);
  testing::round_operands<TypeParam>(clean);
  for (const int64_t start : {1, 30, 64, 100, 149}) {
    std::fill(clean.starts.begin(), clean.starts.end(), 0);
    clean.starts[start] = 1;
    clean.both();
    Oracle dirty = clean;
    std::fill(dirty.dy.begin() + start * clean.size.channels, dirty.dy.end(),
              std::numeric_limits<double>::infinity());
    std::fill(dirty.dh.begin(), dirty.dh.end(), std::numeric_limits<double>::infinity());
    for (const SelectiveScanPlan& plan : plans(clean)) {
      SelectiveGradDevice<TypeParam> one(clean), other(dirty);
      one.run(one.args(), plan);
      other.run(other.args(), plan);
      EXPECT_EQ(gradients_before(one, start), gradients_before(other, start))
          << "start " << start << name(plan);
    }
  }
}

TEST(SelectiveScanGradientCudaPlan, BlocksThatAreTooFewFormChains) {
  const auto expect = [](const SelectiveScanCudaSize& size, SelectiveCarry carry, int64_t blocks) {
    const SelectiveScanPlan plan = selective_grad_plan(size);
    EXPECT_EQ(plan.carry, carry) << size.channels << " channels";
    EXPECT_EQ(plan.segments, blocks) << size.channels << " channels";
    const auto of_floats = selective_grad_plan_of<float>(size);
    EXPECT_LE(selective_grad_plan_bytes(size, of_floats),
              selective_scan_cuda_backward_workspace_bytes(size));
  };
  expect({1, 65536, 4096, 1, 16}, SelectiveCarry::kChain, 6);
  expect({8, 2048, 1536, 1, 16}, SelectiveCarry::kChain, 2);
  expect({1, 70, 4096, 1, 16}, SelectiveCarry::kChain, 3);    // as many tiles as there are
  expect({1, 65536, 640, 1, 16}, SelectiveCarry::kPass, 39);  // it would hand on too slowly
  expect({8, 2048, 4096, 1, 16}, SelectiveCarry::kHandOver, 10);
  expect({64, 512, 1536, 1, 16}, SelectiveCarry::kPass, 1);
  expect({1, 16384, 512, 1, 64}, SelectiveCarry::kChain, 4);
  expect({1, 16384, 1536, 1, 64}, SelectiveCarry::kPass, 4);  // a chain would leave blocks idle
}

TYPED_TEST(SelectiveScanGradientCuda, WrongShapesAreRefused) {
  const Oracle oracle = solved<TypeParam>({2, 9, 8, 2, 4}, 6, kPacked);
  SelectiveGradDevice<TypeParam> device(oracle);
  auto args = device.args();
  args.dA = args.dA.slice(1, 0, 3);
  EXPECT_THROW(selective_scan_cuda_backward(args, {}, nullptr), InvalidArgument);
  args = device.args();
  args.dz = {};
  EXPECT_THROW(selective_scan_cuda_backward(args, {}, nullptr), InvalidArgument);
  args = device.args();
  args.states = args.states.slice(1, 0, 0);
  EXPECT_THROW(selective_scan_cuda_backward(args, {}, nullptr), InvalidArgument);
  EXPECT_THROW(selective_scan_cuda_backward(device.args(), {}, nullptr), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
