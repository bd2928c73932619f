// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/ops/lti_scan/lti_scan_ref.h"
#include "longwave/ops/lti_scan/testing/lti_device.h"

namespace longwave::ops {
namespace {

using testing::kEpsilon;
using testing::kLtiSizes;
using testing::LtiDevice;
using testing::name;
using testing::Tolerance;
using testing::Worst;
using Size = testing::LtiSize;
using Oracle = testing::LtiProblem<double>;

template <typename T>
class LtiScanCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(LtiScanCuda, Types);

template <typename T>
Oracle operands(const Size& size, uint64_t seed) {
  Oracle oracle(size, seed);
  testing::round_operands<T>(oracle);
  return oracle;
}

template <typename Number>
double largest(const std::vector<Number>& numbers) {
  double most = 1;
  for (const Number& x : numbers) most = std::max<double>(most, std::abs(x));
  return most;
}

// A state remembers about 50 inputs: poles have radii up to 0.98.
int64_t state_terms(const Size& size) { return size.modes * 50 + 1; }

// Products of numbers split in two bfloat16, three of four products kept, summed in float32.
Tolerance split_sum(int64_t terms, double magnitude) {
  constexpr double kSplit = 3.0 / (1 << 18);
  Tolerance bound = Tolerance::sum<float>(terms, magnitude);
  bound.bound += kSplit * std::sqrt(static_cast<double>(terms)) * magnitude;
  return bound;
}

// What leaves in bfloat16 is read out of states and factors of 11 bits; by the gradient through
// boxes, out of states rounded to bfloat16.
template <typename T>
Tolerance output_sum(int64_t terms, double magnitude, double rounding = kEpsilon<__half>) {
  Tolerance bound = split_sum(terms, magnitude);
  if (std::is_same_v<T, __nv_bfloat16>) {
    bound.bound += rounding * std::sqrt(static_cast<double>(terms)) * magnitude;
  }
  return bound;
}

// Rounding of the number itself where it leaves as T, once for each group of modes.
template <typename T, typename Expected, typename Got>
void expect_close(const std::string& what, const Size& size, const std::vector<Expected>& expected,
                  const std::vector<Got>& got, Tolerance sum) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  if (got.empty()) return;
  const int64_t groups =
      std::max<int64_t>(1, (size.modes + kLtiScanCudaModes - 1) / kLtiScanCudaModes);
  const double rounded = groups > 1 ? groups * largest(expected) : 0;
  Worst worst(what);
  for (size_t i = 0; i < got.size(); ++i) {
    Tolerance bound = sum;
    bound.bound += kEpsilon<T> / 2 * (std::abs(expected[i]) + rounded);
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
  }
  EXPECT_TRUE(worst.ok());
}

template <typename T>
void expect_outputs(const std::string& what, const Oracle& oracle, const LtiDevice<T>& got) {
  const int64_t terms = state_terms(oracle.size);
  const double magnitude = largest(oracle.u) * largest(oracle.c);
  expect_close<T>(what + " y", oracle.size, oracle.y, got.y(), output_sum<T>(terms, magnitude));
  expect_close<float>(what + " h", oracle.size, oracle.h, got.h(), split_sum(terms, magnitude));
}

// Sums over time of products of two states, for da; smaller for the others.
template <typename T>
void expect_gradients(const std::string& what, const Oracle& oracle, const LtiDevice<T>& got,
                      bool through_boxes = false) {
  const Size& size = oracle.size;
  const double state = 50;
  const int64_t terms = state_terms(size);
  const double magnitude = largest(oracle.dy) * largest(oracle.c);
  const Tolerance sums = split_sum(size.batch * size.time + terms, magnitude * state);
  const double rounding = through_boxes ? kEpsilon<T> / 2 : kEpsilon<__half>;
  expect_close<T>(what + " du", size, oracle.du, got.du(),
                  output_sum<T>(terms, magnitude, rounding));
  expect_close<float>(what + " dh0", size, oracle.dh0, got.dh0(), split_sum(terms, magnitude));
  expect_close<float>(what + " dd", size, oracle.dd, got.dd(), sums);
  expect_close<float>(what + " dc", size, oracle.dc, got.dc(), sums);
  expect_close<float>(what + " da", size, oracle.da, got.da(), sums);
}

LtiCut boxes(int64_t time, int64_t segments) { return lti_cut(time, segments, kLtiBoxStage); }

// Sequences whole and cut, through boxes too, and as the shapes want it.
template <typename T>
std::vector<LtiScanPlan> plans(const Size& size) {
  std::vector<LtiScanPlan> all = {
      lti_scan_plan<T>({size.batch, size.time, size.channels, size.modes})};
  for (const int64_t segments : {1, 3}) {
    const LtiCut cut = lti_cut(size.time, segments);
    all.push_back({cut, cut});
    if (!std::is_same_v<T, __nv_bfloat16>) continue;
    all.push_back({cut, cut, boxes(size.time, segments), segments == 1});
  }
  return all;
}

std::string name(const LtiScanPlan& plan) {
  return " segments " + std::to_string(plan.scan.segments) + " boxes " +
         std::to_string(plan.boxes.segments) + " of " + std::to_string(plan.boxes.steps) +
         (plan.grad_boxes ? ", gradient through boxes" : "");
}

// Those of the CPU and more modes than go together, and rows that are copied whole; lines and
// channels around those of a block, and sequences of more stages than it holds at once.
std::vector<Size> sizes() {
  std::vector<Size> all(kLtiSizes.begin(), kLtiSizes.end());
  for (const Size& size :
       {Size{1, 70, 3, 33},    Size{1, 40, 2, 70},   Size{3, 100, 48, 32}, Size{2, 130, 24, 17},
        Size{20, 33, 8, 12},   Size{9, 1, 16, 32},   Size{8, 31, 24, 8},   Size{5, 32, 8, 1},
        Size{3, 33, 16, 17},   Size{2, 64, 40, 32},  Size{11, 65, 16, 9},  Size{1, 129, 16, 25},
        Size{8, 1100, 16, 32}, Size{17, 200, 8, 0},  Size{3, 0, 16, 5},    Size{8, 128, 16, 32},
        Size{11, 191, 40, 31}, Size{1, 1, 8, 1},     Size{8, 64, 24, 8},   Size{17, 65, 16, 16},
        Size{2, 1500, 16, 20}, Size{1, 2047, 8, 9},  Size{3, 256, 16, 32}, Size{2, 1024, 40, 24},
        Size{3, 783, 32, 11},  Size{1, 1536, 24, 8}, Size{5, 2100, 16, 3}}) {
    all.push_back(size);
  }
  return all;
}

template <typename T>
LtiScanCudaGradArgs<T> without_dh(LtiScanCudaGradArgs<T> args) {
  args.dh = {};
  return args;
}

TYPED_TEST(LtiScanCuda, EveryPlanAgreesWithTheOracle) {
  for (const Size& size : sizes()) {
    Oracle oracle = operands<TypeParam>(size, 1);
    const Oracle before = oracle;
    lti_scan_ref(oracle.args());
    for (const LtiScanPlan& plan : plans<TypeParam>(size)) {
      LtiDevice<TypeParam> device(before);
      device.run(device.args(), plan);
      expect_outputs(name(size) + name(plan), oracle, device);
    }
  }
}

TYPED_TEST(LtiScanCuda, EveryPlanAgreesWithTheOracleOnGradients) {
  for (const Size& size : sizes()) {
    Oracle oracle = operands<TypeParam>(size, 2);
    lti_scan_backward_ref(oracle.grad_args());
    for (const LtiScanPlan& plan : plans<TypeParam>(size)) {
      LtiDevice<TypeParam> device(oracle);
      device.run(device.grad_args(), plan);
      expect_gradients(name(size) + name(plan), oracle, device);
    }
  }
}

// Through boxes too, which is left out where there is one.
TYPED_TEST(LtiScanCuda, GradientsWithoutOneOfTheFinalStateAgreeWithTheOracle) {
  for (const Size& size : sizes()) {
    Oracle oracle = operands<TypeParam>(size, 11);
    std::fill(oracle.dh.begin(), oracle.dh.end(), 0.0);
    lti_scan_backward_ref(oracle.grad_args());
    for (const LtiScanPlan& plan : plans<TypeParam>(size)) {
      LtiDevice<TypeParam> device(oracle);
      device.run(without_dh(device.grad_args()), plan);
      expect_gradients(name(size) + name(plan), oracle, device, plan.grad_boxes);
    }
  }
}

TYPED_TEST(LtiScanCuda, StridedRowsAgreeWithTheOracle) {
  for (const Size& size : {Size{2, 100, 48, 9}, Size{2, 100, 20, 9}}) {
    const Oracle before = operands<TypeParam>(size, 3);
    Oracle oracle = before, no_end = before;
    lti_scan_backward_ref(oracle.grad_args());
    lti_scan_ref(oracle.args());
    std::fill(no_end.dh.begin(), no_end.dh.end(), 0.0);
    lti_scan_backward_ref(no_end.grad_args());
    for (const int64_t pad : {8, 4, 3}) {
      for (const LtiScanPlan& plan : plans<TypeParam>(size)) {
        LtiDevice<TypeParam> device(before, pad);
        device.run(device.args(), plan);
        device.run(device.grad_args(), plan);
        const std::string what = name(size) + " pad " + std::to_string(pad) + name(plan);
        expect_outputs(what, oracle, device);
        expect_gradients(what, oracle, device);
        device.run(without_dh(device.grad_args()), plan);
        expect_gradients(what + " without dh", no_end, device, plan.grad_boxes);
      }
    }
  }
}

TYPED_TEST(LtiScanCuda, AbsentOperandsAreZero) {
  const Size size{2, 45, 20, 6};
  Oracle oracle = operands<TypeParam>(size, 4);
  std::fill(oracle.d.begin(), oracle.d.end(), 0.0);
  std::fill(oracle.dh.begin(), oracle.dh.end(), 0.0);
  const Oracle before = oracle;
  lti_scan_backward_ref(oracle.grad_args());
  lti_scan_ref(oracle.args());
  for (const LtiScanPlan& plan : plans<TypeParam>(size)) {
    LtiDevice<TypeParam> device(before);
    auto args = device.args();
    args.d = {};
    auto grads = without_dh(device.grad_args());
    grads.d = {};
    grads.dd = {};
    device.run(args, plan);
    device.run(grads, plan);
    expect_outputs("absent" + name(plan), oracle, device);
    const double magnitude = largest(oracle.dy) * largest(oracle.c);
    const double rounding = plan.grad_boxes ? kEpsilon<TypeParam> / 2 : kEpsilon<__half>;
    expect_close<TypeParam>("du" + name(plan), size, oracle.du, device.du(),
                            output_sum<TypeParam>(state_terms(size), magnitude, rounding));
  }
}

TYPED_TEST(LtiScanCuda, SameArgumentsSameBits) {
  const Size size{2, 500, 40, 20};
  const Oracle oracle = operands<TypeParam>(size, 5);
  for (const LtiScanPlan& plan : plans<TypeParam>(size)) {
    LtiDevice<TypeParam> one(oracle), other(oracle);
    for (auto* device : {&one, &other}) {
      device->run(device->args(), plan);
    }
    EXPECT_EQ(one.y(), other.y());
    EXPECT_EQ(one.h(), other.h());
    for (const bool with_end : {true, false}) {
      for (auto* device : {&one, &other}) {
        const auto grads = device->grad_args();
        device->run(with_end ? grads : without_dh(grads), plan);
      }
      EXPECT_EQ(one.du(), other.du());
      EXPECT_EQ(one.da(), other.da());
      EXPECT_EQ(one.dc(), other.dc());
      EXPECT_EQ(one.dd(), other.dd());
      EXPECT_EQ(one.dh0(), other.dh0());
    }
  }
}

// The same operands for steps [begin, begin + count).
template <typename T>
LtiScanCudaArgs<T> steps(LtiScanCudaArgs<T> args, int64_t begin, int64_t count) {
  args.u = args.u.slice(1, begin, count);
  args.y = args.y.slice(1, begin, count);
  return args;
}

TYPED_TEST(LtiScanCuda, SplitInvariance) {
  const Size size{2, 130, 24, 16};
  Oracle oracle = operands<TypeParam>(size, 6);
  const Oracle before = oracle;
  lti_scan_ref(oracle.args());
  for (const int64_t cut : {int64_t{0}, int64_t{1}, int64_t{48}, size.time - 1, size.time}) {
    for (const bool through_boxes : {false, true}) {
      const auto plan = [&](int64_t time) -> LtiScanPlan {
        return {lti_cut(time, 2), {}, through_boxes ? boxes(time, 2) : LtiCut{}};
      };
      LtiDevice<TypeParam> parts(before);
      parts.run(steps(parts.args(), 0, cut), plan(cut));
      parts.run(steps(parts.args(), cut, size.time - cut), plan(size.time - cut));
      expect_outputs("cut at " + std::to_string(cut) + name(plan(cut)), oracle, parts);
    }
  }
}

TYPED_TEST(LtiScanCuda, StepsEqualTheScan) {
  for (const Size& size : {Size{1, 40, 3, 33}, Size{2, 70, 24, 16}, Size{5, 33, 7, 2}}) {
    Oracle oracle = operands<TypeParam>(size, 10);
    LtiDevice<TypeParam> device(oracle);
    lti_scan_ref(oracle.args());
    const LtiScanPlan plan = lti_scan_plan<TypeParam>({size.batch, 1, size.channels, size.modes});
    for (int64_t t = 0; t < size.time; ++t) device.run(steps(device.args(), t, 1), plan);
    // The error of a split factor is the same in each of the 50 steps that a state remembers.
    const Tolerance bound =
        split_sum(state_terms(size), 50 * largest(oracle.u) * largest(oracle.c));
    expect_close<TypeParam>(name(size) + " y", size, oracle.y, device.y(), bound);
    expect_close<float>(name(size) + " h", size, oracle.h, device.h(), bound);
  }
}

TYPED_TEST(LtiScanCuda, Causality) {
  const Size size{1, 100, 16, 8};
  const Oracle clean = operands<TypeParam>(size, 7);
  for (const int64_t changed : {0, 5, 16, 63, 99}) {
    Oracle dirty = clean;
    for (int64_t c = 0; c < size.channels; ++c) dirty.u[changed * size.channels + c] += 8;
    for (const LtiScanPlan& plan : plans<TypeParam>(size)) {
      LtiDevice<TypeParam> one(clean), other(dirty);
      one.run(one.args(), plan);
      other.run(other.args(), plan);
      const std::vector<double> expected = one.y(), got = other.y();
      EXPECT_TRUE(std::equal(got.begin(), got.begin() + changed * size.channels, expected.begin()))
          << "step " << changed << name(plan);
    }
  }
}

TYPED_TEST(LtiScanCuda, SlowPolesKeepTheirPrecision) {
  // Poles near one over many segments: the state is the sum of thousands of inputs.
  const Size size{1, 4096, 16, 4};
  Oracle oracle = operands<TypeParam>(size, 8);
  for (size_t i = 0; i < oracle.a.size(); ++i) {
    oracle.a[i] = std::complex<double>(std::complex<float>(std::polar(1 - 1e-5 * i, 1e-4 * i)));
  }
  const Oracle before = oracle;
  lti_scan_ref(oracle.args());
  const int64_t terms = size.time * size.modes;
  const double magnitude = largest(oracle.u) * largest(oracle.c);
  const LtiCut cut = lti_cut(size.time, 8);
  for (const LtiCut& through : {LtiCut{}, boxes(size.time, 8), boxes(size.time, 1)}) {
    LtiDevice<TypeParam> device(before);
    device.run(device.args(), {cut, {}, through});
    expect_close<TypeParam>("y", size, oracle.y, device.y(),
                            output_sum<TypeParam>(terms, magnitude));
    expect_close<float>("h", size, oracle.h, device.h(), split_sum(terms, magnitude));
  }
}

TYPED_TEST(LtiScanCuda, WrongShapesAreRefused) {
  const Oracle oracle = operands<TypeParam>({2, 9, 8, 4}, 9);
  LtiDevice<TypeParam> device(oracle);
  auto args = device.args();
  args.a = args.a.slice(1, 0, 3);
  EXPECT_THROW(lti_scan_cuda(args, {}, nullptr), InvalidArgument);
  EXPECT_THROW(lti_scan_cuda(device.args(), {}, nullptr), InvalidArgument);
  auto grads = device.grad_args();
  grads.da = grads.da.slice(1, 0, 3);
  EXPECT_THROW(lti_scan_cuda_backward(grads, {}, nullptr), InvalidArgument);
  grads = device.grad_args();
  grads.dd = {};
  EXPECT_THROW(lti_scan_cuda_backward(grads, {}, nullptr), InvalidArgument);
  EXPECT_THROW(lti_scan_cuda_backward(device.grad_args(), {}, nullptr), InvalidArgument);
}

TEST(LtiScanCudaPlan, BoxesTakeSequencesWholeWhereTheyFillTheChip) {
  const auto boxes = [](const LtiScanCudaSize& size) {
    return lti_scan_plan<__nv_bfloat16>(size).boxes;
  };
  EXPECT_EQ(boxes({8, 16384, 512, 32}).segments, 1);
  EXPECT_EQ(boxes({4, 4096, 512, 32}).segments, 1);
  EXPECT_EQ(boxes({4, 16384, 512, 32}).segments, 2);
  EXPECT_EQ(boxes({4, 16384, 512, 8}).segments, 1);
  EXPECT_EQ(boxes({1, 131072, 512, 32}).segments, 8);
  EXPECT_EQ(lti_scan_plan<float>({8, 16384, 512, 32}).boxes.steps, 0);
  // What is too short, has too many modes, or is not there, is left to the other scan.
  for (const LtiScanCudaSize& size :
       {LtiScanCudaSize{64, 256, 512, 32}, LtiScanCudaSize{8, 16384, 512, 33},
        LtiScanCudaSize{0, 16384, 512, 32}, LtiScanCudaSize{8, 16384, 0, 32},
        LtiScanCudaSize{8, 0, 512, 32}}) {
    EXPECT_EQ(boxes(size).steps, 0) << size.batch;
  }
}

TEST(LtiScanCudaPlan, TheGradientGoesThroughBoxesWhereSequencesKeepHalfOfTheChipBusy) {
  const auto through_boxes = [](const LtiScanCudaSize& size) {
    return lti_scan_plan<__nv_bfloat16>(size).grad_boxes;
  };
  EXPECT_TRUE(through_boxes({8, 16384, 512, 32}));
  EXPECT_TRUE(through_boxes({4, 1024, 512, 8}));
  EXPECT_FALSE(through_boxes({1, 131072, 512, 32}));
  EXPECT_FALSE(through_boxes({8, 16384, 512, 33}));
  EXPECT_FALSE(through_boxes({8, 16384, 0, 32}));
  EXPECT_FALSE(lti_scan_plan<float>({8, 16384, 512, 32}).grad_boxes);
}

}  // namespace
}  // namespace longwave::ops
