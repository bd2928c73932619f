// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/ops/selective_scan/selective_scan_cuda.h"
#include "longwave/ops/selective_scan/testing/selective_agree.h"
#include "longwave/ops/selective_scan/testing/selective_device.h"
#include "longwave/ops/testing/device_agree.h"

namespace longwave::ops {
namespace {

using testing::expect_close;
using testing::kSelectiveSizes;
using testing::kSelectiveVariants;
using testing::name;
using testing::output_terms;
using testing::SelectiveDevice;
using Size = testing::SelectiveSize;
using Variant = testing::SelectiveVariant;
using Oracle = testing::SelectiveProblem<double>;

constexpr Variant kPacked = {StepSize::kSoftplus, Variant::Optional::kAll,
                             Variant::Packing::kStarts};

template <typename T>
class SelectiveScanCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(SelectiveScanCuda, Types);

template <typename T>
Oracle operands(const Size& size, uint64_t seed, const Variant& variant) {
  Oracle oracle(size, seed, variant);
  testing::round_operands<T>(oracle);
  return oracle;
}

template <typename T>
void expect_outputs(const std::string& what, const Oracle& oracle, const SelectiveDevice<T>& got) {
  const int64_t terms = output_terms(oracle.size);
  expect_close<T>(what + " y", oracle.y, got.y(), terms);
  expect_close<float>(what + " h", oracle.h, got.h(), terms);
}

// What a plan is called where it fails.
std::string name(const SelectiveScanPlan& plan) {
  return std::string(plan.work == SelectiveWork::kApart ? " apart" : "") + " lanes " +
         std::to_string(plan.lanes) + " segments " + std::to_string(plan.segments);
}

// The plans of warps that work apart, which can hold so many states; none where they do not fit.
std::vector<SelectiveScanPlan> apart_plans(const SelectiveScanCudaSize& size) {
  std::vector<SelectiveScanPlan> all;
  if (!selective_fits_apart(gpu::present_capacity("test"))) return all;
  for (int i = 0; i < static_cast<int>(kSelectiveApartLanes.size()); ++i) {
    if (kSelectiveApartLanes[i].most_states() < size.state) continue;
    all.push_back(selective_apart_plan(size, i));
  }
  return all;
}

// All plans that can hold so many states, with time whole and cut.
std::vector<SelectiveScanPlan> plans(const SelectiveScanCudaSize& size) {
  std::vector<SelectiveScanPlan> all = apart_plans(size);
  all.push_back(selective_scan_plan(size));
  for (int i = 0; i < static_cast<int>(kSelectiveLanes.size()); ++i) {
    if (kSelectiveLanes[i].most_states() < size.state) continue;
    for (const int64_t segments : {1, 3}) all.push_back(selective_scan_plan(size, i, segments));
  }
  return all;
}

TYPED_TEST(SelectiveScanCuda, EveryPlanAgreesWithTheOracle) {
  for (const Size& size : kSelectiveSizes) {
    for (const Variant& variant : kSelectiveVariants) {
      Oracle oracle = operands<TypeParam>(size, 1, variant);
      const Oracle before = oracle;
      oracle.forward();
      const SelectiveDevice<TypeParam> shape(before);
      for (const SelectiveScanPlan& plan : plans(shape.size())) {
        SelectiveDevice<TypeParam> device(before);
        device.run(device.args(), plan);
        const std::string what = name(size) + name(plan);
        expect_outputs(what, oracle, device);
        expect_close<float>(what + " states", oracle.states, device.states(), output_terms(size));
      }
    }
  }
}

TYPED_TEST(SelectiveScanCuda, LengthsAroundTilesAgreeWithTheOracle) {
  for (const int64_t tiles : {1, 2, 3, 4, 6}) {
    for (const int64_t more : {-1, 0, 1}) {
      const Size size{2, 32 * tiles + more, 70, 2, 13};
      Oracle oracle = operands<TypeParam>(size, 9, kPacked);
      const Oracle before = oracle;
      oracle.forward();
      const SelectiveDevice<TypeParam> shape(before);
      for (const SelectiveScanPlan& plan : apart_plans(shape.size())) {
        SelectiveDevice<TypeParam> device(before);
        device.run(device.args(), plan);
        expect_outputs(name(size) + name(plan), oracle, device);
        expect_close<float>(name(size) + name(plan) + " states", oracle.states, device.states(),
                            output_terms(size));
      }
    }
  }
}

// Sequences and groups that make two, three and four blocks for each multiprocessor of an H100,
// which are members of one; the last has as many, one and three.
TYPED_TEST(SelectiveScanCuda, BlocksOfSomeMembersAgreeWithTheOracle) {
  for (const Size& size : {Size{34, 70, 8, 4, 7}, Size{67, 33, 8, 4, 16}, Size{133, 70, 6, 3, 13},
                           Size{133, 8, 6, 3, 16}}) {
    Oracle oracle = operands<TypeParam>(size, 12, kPacked);
    const Oracle before = oracle;
    oracle.forward();
    const SelectiveDevice<TypeParam> shape(before);
    for (int i = 0; i < static_cast<int>(kSelectiveLanes.size()); ++i) {
      if (kSelectiveLanes[i].most_states() < size.state) continue;
      const SelectiveScanPlan plan = selective_scan_plan(shape.size(), i, 1);
      SelectiveDevice<TypeParam> device(before), again(before);
      device.run(device.args(), plan);
      again.run(again.args(), plan);
      expect_outputs(name(size) + name(plan), oracle, device);
      EXPECT_EQ(device.y(), again.y()) << name(size) << name(plan);
      EXPECT_EQ(device.h(), again.h()) << name(size) << name(plan);
    }
  }
}

TYPED_TEST(SelectiveScanCuda, LargeStatesAgreeWithTheOracle) {
  for (const Size& size : {Size{1, 70, 9, 1, 100}, Size{1, 40, 40, 2, 200}, Size{2, 70, 5, 1, 300},
                           Size{1, 20, 3, 1, 1024}}) {
    Oracle oracle = operands<TypeParam>(size, 2, kPacked);
    SelectiveDevice<TypeParam> device(oracle);
    oracle.forward();
    device.run(device.args(),
               selective_scan_plan(device.size(), selective_scan_plan(device.size()).lanes, 2));
    expect_outputs(name(size), oracle, device);
  }
}

TYPED_TEST(SelectiveScanCuda, WideAndStridedRowsAgreeWithTheOracle) {
  for (const Size& size : {Size{2, 300, 256, 1, 16}, Size{2, 100, 512, 4, 16}}) {
    for (const int64_t pad : {0, 8, 3}) {
      Oracle oracle = operands<TypeParam>(size, 3, kPacked);
      const Oracle before = oracle;
      oracle.forward();
      const SelectiveDevice<TypeParam> shape(before, pad);
      auto all = apart_plans(shape.size());
      all.push_back(selective_scan_plan(shape.size()));
      for (const SelectiveScanPlan& plan : all) {
        SelectiveDevice<TypeParam> device(before, pad);
        device.run(device.args(), plan);
        expect_outputs(name(size) + name(plan) + " pad " + std::to_string(pad), oracle, device);
      }
    }
  }
}

TYPED_TEST(SelectiveScanCuda, SameArgumentsSameBits) {
  const Size size{2, 500, 96, 1, 16};
  const Oracle operands_of = operands<TypeParam>(size, 4, kPacked);
  SelectiveDevice<TypeParam> first(operands_of);
  const auto all = plans(first.size());
  for (const SelectiveScanPlan& plan : all) {
    SelectiveDevice<TypeParam> one(operands_of), other(operands_of);
    one.run(one.args(), plan);
    other.run(other.args(), plan);
    EXPECT_EQ(one.y(), other.y());
    EXPECT_EQ(one.h(), other.h());
    EXPECT_EQ(one.states(), other.states());
  }
}

// The same operands for steps [begin, begin + count), without states.
template <typename T>
SelectiveScanCudaArgs<T> steps(SelectiveScanCudaArgs<T> args, int64_t begin, int64_t count) {
  SelectiveScanCudaInputs<T>& in = args.in;
  for (auto* view : {&in.u, &in.dt, &in.z}) *view = view->slice(1, begin, count);
  for (auto* view : {&in.B, &in.C}) *view = view->slice(1, begin, count);
  if (!in.starts.absent()) in.starts = in.starts.slice(1, begin, count);
  args.y = args.y.slice(1, begin, count);
  args.states = {};
  return args;
}

TYPED_TEST(SelectiveScanCuda, SplitInvariance) {
  for (const Size& size : {Size{2, 130, 24, 1, 16}, Size{1, 70, 34, 2, 21}}) {
    const Oracle same = operands<TypeParam>(size, 5, kPacked);
    const SelectiveDevice<TypeParam> shape(same);
    auto all = apart_plans(shape.size());
    all.push_back(selective_scan_plan(shape.size(), selective_scan_plan(shape.size()).lanes, 1));
    for (const SelectiveScanPlan& plan : all) {
      SelectiveDevice<TypeParam> whole(same);
      whole.run(whole.args(), plan);
      for (const int64_t cut : {int64_t{0}, int64_t{1}, int64_t{33}, size.time - 1, size.time}) {
        SelectiveDevice<TypeParam> parts(same);
        // A segment of any length at least as long as the part.
        parts.run(steps(parts.args(), 0, cut), plan);
        parts.run(steps(parts.args(), cut, size.time - cut), plan);
        EXPECT_EQ(whole.y(), parts.y()) << name(size) << name(plan) << " cut at " << cut;
        EXPECT_EQ(whole.h(), parts.h()) << name(size) << name(plan) << " cut at " << cut;
      }
    }
  }
}

TYPED_TEST(SelectiveScanCuda, StepsEqualTheScan) {
  for (const Size& size : {Size{3, 40, 17, 1, 16}, Size{1, 70, 34, 2, 21}, Size{2, 33, 128, 4, 64},
                           Size{1, 20, 9, 1, 100}}) {
    for (const Variant& variant : {kPacked, Variant{}}) {
      Oracle oracle = operands<TypeParam>(size, 9, variant);
      SelectiveDevice<TypeParam> device(oracle);
      oracle.forward();
      const SelectiveScanPlan plan =
          selective_scan_plan({size.batch, 1, size.channels, size.groups, size.state});
      for (int64_t t = 0; t < size.time; ++t) device.run(steps(device.args(), t, 1), plan);
      expect_outputs(name(size), oracle, device);
    }
  }
}

// Packs of states and states one by one, many sequences at once and few, one of them beyond a
// multiple of those.
TYPED_TEST(SelectiveScanCuda, StepsOfEveryWayAgreeWithTheOracle) {
  for (const Size& size :
       {Size{1, 1, 1, 1, 1}, Size{3, 1, 1536, 1, 16}, Size{5, 1, 40, 2, 17},
        Size{9, 1, 8192, 1, 16}, Size{67, 1, 1030, 2, 16}, Size{6, 1, 2050, 1, 64},
        Size{7, 1, 24, 3, 300}, Size{2, 1, 9, 1, 1024}}) {
    for (const Variant& variant : kSelectiveVariants) {
      for (const int64_t pad : {0, 3}) {
        Oracle oracle = operands<TypeParam>(size, 11, variant);
        SelectiveDevice<TypeParam> device(oracle, pad), again(oracle, pad);
        oracle.forward();
        const SelectiveScanPlan plan = selective_scan_plan(device.size());
        EXPECT_EQ(plan.work, SelectiveWork::kStep);
        device.run(device.args(), plan);
        again.run(again.args(), plan);
        const std::string what = name(size) + " pad " + std::to_string(pad);
        expect_outputs(what, oracle, device);
        expect_close<float>(what + " states", oracle.states, device.states(), output_terms(size));
        EXPECT_EQ(device.y(), again.y()) << what;
        EXPECT_EQ(device.h(), again.h()) << what;
      }
    }
  }
}

TYPED_TEST(SelectiveScanCuda, Causality) {
  const Size size{1, 150, 34, 2, 16};
  const Oracle clean = operands<TypeParam>(size, 10, kPacked);
  for (const int64_t changed : {0, 5, 64, 149}) {
    Oracle dirty = clean;
    for (auto* numbers : {&dirty.u, &dirty.dt, &dirty.B, &dirty.C, &dirty.z}) {
      const int64_t row = std::ssize(*numbers) / size.time;
      for (int64_t i = changed * row; i < std::ssize(*numbers); ++i) (*numbers)[i] += 1.0;
    }
    const SelectiveDevice<TypeParam> shape(clean);
    for (const SelectiveScanPlan& plan : plans(shape.size())) {
      SelectiveDevice<TypeParam> one(clean), other(dirty);
      one.run(one.args(), plan);
      other.run(other.args(), plan);
      const std::vector<double> expected = one.y(), got = other.y();
      EXPECT_TRUE(std::equal(got.begin(), got.begin() + changed * size.channels, expected.begin()))
          << "step " << changed << name(plan);
      EXPECT_NE(expected, got);
    }
  }
}

TYPED_TEST(SelectiveScanCuda, WhatPrecededASequenceDoesNotMatter) {
  const Size size{1, 150, 37, 1, 16};
  Oracle clean = operands<TypeParam>(size, 6, kPacked), dirty = clean;
  clean.starts[0] = dirty.starts[0] = 1;
  clean.starts[60] = dirty.starts[60] = 1;
  std::fill(dirty.h.begin(), dirty.h.end(), std::numeric_limits<double>::infinity());
  const SelectiveDevice<TypeParam> shape(clean);
  for (const SelectiveScanPlan& plan : plans(shape.size())) {
    SelectiveDevice<TypeParam> one(clean), other(dirty);
    one.run(one.args(), plan);
    other.run(other.args(), plan);
    EXPECT_EQ(one.y(), other.y());
    EXPECT_EQ(one.h(), other.h());
  }
}

TEST(SelectiveScanCudaPlan, ScansOfFewChannelsTakeOnePassWhereItFillsTheChip) {
  for (const auto& [channels, lanes] :
       {std::pair<int64_t, int>{4096, 0}, {3072, 0}, {8192, 0}, {2048, 1}, {6144, 1}}) {
    const SelectiveScanCudaSize size{1, 65536, channels, 1, 16};
    const SelectiveScanPlan plan = selective_scan_plan(size, gpu::kHopperCapacity);
    EXPECT_EQ(plan.work, SelectiveWork::kApart) << channels;
    EXPECT_EQ(plan.lanes, lanes) << channels;
    EXPECT_EQ(selective_scan_plan_bytes(size, plan), 0) << channels;
    const gpu::Capacity small{163 * 1024, 108};
    EXPECT_EQ(selective_scan_plan(size, small).work, SelectiveWork::kShared) << channels;
  }
  for (const SelectiveScanCudaSize& size : {SelectiveScanCudaSize{1, 65536, 1536, 1, 16},
                                            {1, 65536, 2400, 1, 16},
                                            {8, 2048, 4096, 1, 16},
                                            {1, 65536, 4096, 1, 4},
                                            {1, 65536, 4096, 1, 64},
                                            {1, 65536, 0, 1, 16}}) {
    EXPECT_EQ(selective_scan_plan(size, gpu::kHopperCapacity).work, SelectiveWork::kShared)
        << size.channels;
  }
}

TYPED_TEST(SelectiveScanCuda, StepSizesKeepTheirPrecision) {
  // Without states y is D u; with B = 1, C = 1, h = 0 and one step it is softplus(dt) u.
  const Variant bare{StepSize::kSoftplus, Variant::Optional::kNone, Variant::Packing::kNone};
  const Size size{1, 1, 4096, 1, 1};
  Oracle oracle = operands<TypeParam>(size, 7, bare);
  for (int64_t c = 0; c < size.channels; ++c) oracle.dt[c] = -30.0 + c * (60.0 / 4096);
  testing::round_operands<TypeParam>(oracle);
  std::fill(oracle.u.begin(), oracle.u.end(), 1.0);
  std::fill(oracle.h.begin(), oracle.h.end(), 0.0);
  oracle.B = oracle.C = {1.0};
  SelectiveDevice<TypeParam> device(oracle);
  oracle.forward();
  device.run(device.args(), selective_scan_plan(device.size()));
  const std::vector<double> h = device.h();
  for (int64_t c = 0; c < size.channels; ++c) {
    EXPECT_NEAR(h[c] / oracle.h[c], 1.0, 8 * std::numeric_limits<float>::epsilon())
        << "dt " << oracle.dt[c];
  }
}

TYPED_TEST(SelectiveScanCuda, WrongShapesAreRefused) {
  const Oracle oracle = operands<TypeParam>({2, 9, 8, 2, 4}, 8, kPacked);
  SelectiveDevice<TypeParam> device(oracle);
  auto args = device.args();
  args.in.A = args.in.A.slice(1, 0, 3);
  EXPECT_THROW(selective_scan_cuda(args, {}, nullptr), InvalidArgument);
  args = device.args();
  args.in.starts = args.in.starts.slice(1, 0, 8);
  EXPECT_THROW(selective_scan_cuda(args, {}, nullptr), InvalidArgument);
  args = device.args();
  args.in.B = args.in.B.slice(2, 0, 0);
  args.in.C = args.in.C.slice(2, 0, 0);
  EXPECT_THROW(selective_scan_cuda(args, {}, nullptr), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
