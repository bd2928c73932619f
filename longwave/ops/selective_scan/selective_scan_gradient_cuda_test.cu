// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/ops/selective_scan/testing/selective_agree.h"
#include "longwave/ops/selective_scan/testing/selective_grad_device.h"

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

// How a gradient can be spread: as it is, whole, and cut with either way to carry the adjoint on.
std::vector<SelectiveScanPlan> plans(const Oracle& oracle) {
  const auto [batch, time, channels, groups, state] = oracle.size;
  const SelectiveScanCudaSize size{batch, time, channels, groups, state};
  return {selective_grad_plan(size), selective_grad_plan(size, 1), selective_grad_plan(size, 3),
          selective_grad_plan(size, 3, SelectiveCarry::kHandOver)};
}

std::string name(const SelectiveScanPlan& plan) {
  const bool hands = plan.carry == SelectiveCarry::kHandOver;
  return " segments " + std::to_string(plan.segments) + (hands ? " handed over" : "");
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
