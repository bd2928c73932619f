// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/ops/ssd/ssd_cuda.h"
#include "longwave/ops/ssd/testing/ssd_device.h"

namespace longwave::ops {
namespace {

using testing::kEpsilon;
using testing::kSsdCapacities;
using testing::kSsdCases;
using testing::kSsdPacked;
using testing::kSsdWideCases;
using testing::name;
using testing::SsdCase;
using testing::SsdDevice;
using testing::Tolerance;
using testing::Worst;
using Oracle = testing::SsdProblem<double>;

template <typename T>
class SsdCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(SsdCuda, Types);

template <typename T>
Oracle operands(const SsdCase& what, uint64_t seed) {
  Oracle oracle(what.size, what.options, seed);
  testing::round_operands<T>(oracle);
  return oracle;
}

// float32 sums, and what rounding of factors to T does to terms on `roundings` of their ways; the
// number itself leaves as Out.
template <typename T, typename Out>
void expect_close(const std::string& what, const std::vector<double>& expected,
                  const std::vector<double>& got, const std::vector<double>& magnitude,
                  int roundings) {
  ASSERT_EQ(expected.size(), got.size()) << what;
  if (got.empty()) return;
  Worst worst(what);
  for (size_t i = 0; i < got.size(); ++i) {
    Tolerance bound = testing::ssd_bound(magnitude[i]);
    if (sizeof(T) == 2) bound.bound += roundings * kEpsilon<T> / 2 * magnitude[i];
    bound.bound += testing::rounding<Out>(expected[i]);
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
  }
  EXPECT_TRUE(worst.ok());
}

// An oracle before and after its run, and the sums of the sizes of the terms.
struct Solved {
  Oracle before, after, magnitude;

  explicit Solved(const Oracle& oracle) : before(oracle), after(oracle), magnitude(oracle) {
    after.forward();
    magnitude.make_positive();
    magnitude.forward();
  }
};

template <typename T>
void expect_outputs(const std::string& what, const Solved& oracle, const SsdDevice<T>& got) {
  // An input is rounded on its way into the state, and the state where it is read.
  expect_close<T, T>(what + " y", oracle.after.y, got.y(), oracle.magnitude.y, 2);
  expect_close<T, float>(what + " h", oracle.after.h, got.h(), oracle.magnitude.h, 1);
}

void add_once(const SsdPlan& plan, std::vector<SsdPlan>& all) {
  if (std::find(all.begin(), all.end(), plan) == all.end()) all.push_back(plan);
}

// The plan of either engine that would be chosen here, and those for smaller GPUs.
template <typename T>
std::vector<SsdPlan> chosen(const SsdSize& size) {
  std::vector<SsdPlan> all = {ssd_scan_plan<T>(size)};
  for (const gpu::Capacity& capacity : testing::ssd_capacities_here()) {
    add_once(ssd_plan<T>(size, capacity), all);
  }
  return all;
}

// The plans that would be chosen, and all counts of heads with time whole and cut.
template <typename T>
std::vector<SsdPlan> plans(const SsdSize& size) {
  std::vector<SsdPlan> all = chosen<T>(size);
  const int64_t share = size.groups == 0 ? 0 : size.heads / size.groups;
  for (const int64_t segments : {1, 3}) {
    for (const gpu::Capacity& capacity : testing::ssd_capacities_here()) {
      for (int heads = 1; heads <= ssd_most_heads<T>(size, capacity); ++heads) {
        if (share % heads == 0) add_once(ssd_plan<T>(size, capacity, heads, segments), all);
      }
    }
    for (const int heads : {1, 2}) {
      if (!ssd_fits_warpgroups<T>(size)) break;
      all.push_back(ssd_warpgroup_plan<T>(size, heads, segments));
      if (heads == 1 || size.batch * size.heads == 0) continue;
      // As where the last round of blocks would leave places empty.
      all.push_back(all.back());
      all.back().split = 1;
    }
  }
  return all;
}

std::string name(const SsdPlan& plan) {
  const char* const engine = plan.engine == SsdEngine::kStep    ? "step"
                             : plan.engine == SsdEngine::kWarps ? "warps"
                                                                : "warpgroups";
  return fmt::format("{} heads {} split {} stages {} segments {}", engine, plan.heads, plan.split,
                     plan.stages, plan.segments);
}

// What needs no GPU.
template <typename T>
class SsdCudaPlan : public ::testing::Test {};
TYPED_TEST_SUITE(SsdCudaPlan, Types);

TYPED_TEST(SsdCudaPlan, BlocksHaveRoomOnEveryGpu) {
  for (const SsdSize& size : testing::ssd_sizes_of_models()) {
    for (const gpu::Capacity& capacity : kSsdCapacities) {
      const int most = ssd_most_heads<TypeParam>(size, capacity);
      std::vector<SsdPlan> all = {ssd_plan<TypeParam>(size, capacity)};
      for (int heads = 1; heads <= most; ++heads) {
        all.push_back(ssd_plan<TypeParam>(size, capacity, heads, 1));
      }
      for (const SsdPlan& plan : all) {
        EXPECT_LE(ssd_shared_bytes<TypeParam>(size, plan), capacity.shared_bytes)
            << name(size) << ' ' << name(plan);
      }
    }
  }
}

template <typename T>
void expect_every_plan(const SsdCase& what, uint64_t seed) {
  const Solved oracle(operands<T>(what, seed));
  for (const SsdPlan& plan : plans<T>(what.size)) {
    SsdDevice<T> device(oracle.before);
    device.run(device.args(), plan);
    expect_outputs(name(what.size) + " " + name(plan), oracle, device);
  }
}

TYPED_TEST(SsdCuda, EveryPlanAgreesWithTheOracle) {
  for (const SsdCase& what : kSsdCases) expect_every_plan<TypeParam>(what, 1);
}

TYPED_TEST(SsdCuda, WideShapesAgreeWithTheOracle) {
  for (const SsdCase& what : kSsdWideCases) expect_every_plan<TypeParam>(what, 2);
}

TYPED_TEST(SsdCuda, StridedRowsAgreeWithTheOracle) {
  for (const int64_t pad : {8, 3}) {
    const SsdCase what{{2, 100, 4, 40, 2, 24}, kSsdPacked};
    const Solved oracle(operands<TypeParam>(what, 3));
    for (const SsdPlan& plan : chosen<TypeParam>(what.size)) {
      SsdDevice<TypeParam> device(oracle.before, pad);
      device.run(device.args(), plan);
      expect_outputs("pad " + std::to_string(pad) + " " + name(plan), oracle, device);
    }
  }
}

TYPED_TEST(SsdCuda, SameArgumentsSameBits) {
  const SsdCase what{{2, 300, 6, 64, 1, 64}, kSsdPacked};
  const Oracle same = operands<TypeParam>(what, 4);
  for (const SsdPlan& plan : plans<TypeParam>(what.size)) {
    SsdDevice<TypeParam> one(same), other(same);
    one.run(one.args(), plan);
    other.run(other.args(), plan);
    EXPECT_EQ(one.y(), other.y());
    EXPECT_EQ(one.h(), other.h());
  }
}

// The same operands for steps [begin, begin + count).
template <typename T>
SsdCudaArgs<T> cut(SsdCudaArgs<T> args, int64_t begin, int64_t count) {
  SsdCudaInputs<T>& in = args.in;
  in.x = in.x.slice(1, begin, count);
  in.dt = in.dt.slice(1, begin, count);
  in.B = in.B.slice(1, begin, count);
  in.C = in.C.slice(1, begin, count);
  if (!in.starts.absent()) in.starts = in.starts.slice(1, begin, count);
  args.y = args.y.slice(1, begin, count);
  return args;
}

TYPED_TEST(SsdCuda, SplitInvariance) {
  const SsdCase what{{2, 230, 2, 40, 1, 24}, kSsdPacked};
  const Solved oracle(operands<TypeParam>(what, 5));
  for (const SsdPlan& plan : chosen<TypeParam>(what.size)) {
    ASSERT_EQ(plan.segments, 1);
    SsdDevice<TypeParam> whole(oracle.before);
    whole.run(whole.args(), plan);
    for (const int64_t at : {0, 1, 33, 64, 128, 229, 230}) {
      SsdDevice<TypeParam> parts(oracle.before);
      parts.run(cut(parts.args(), 0, at), plan);
      parts.run(cut(parts.args(), at, what.size.time - at), plan);
      expect_outputs(name(plan) + " cut at " + std::to_string(at), oracle, parts);
      if (at % 64 != 0) continue;
      EXPECT_EQ(whole.y(), parts.y()) << "cut at " << at;
      EXPECT_EQ(whole.h(), parts.h()) << "cut at " << at;
    }
  }
}

TYPED_TEST(SsdCuda, StepsEqualTheScan) {
  for (const SsdCase& what :
       {SsdCase{{2, 40, 6, 24, 3, 40}, kSsdPacked}, SsdCase{{1, 70, 5, 64, 1, 128}, kSsdPacked},
        SsdCase{{2, 33, 4, 5, 2, 7}, {.skips = 2, .limits = true}}}) {
    const Solved oracle(operands<TypeParam>(what, 9));
    SsdSize one = what.size;
    one.time = 1;
    for (const SsdPlan& plan : chosen<TypeParam>(one)) {
      SsdDevice<TypeParam> device(oracle.before);
      for (int64_t t = 0; t < what.size.time; ++t) device.run(cut(device.args(), t, 1), plan);
      expect_outputs(name(what.size) + " " + name(plan), oracle, device);
    }
  }
}

// Packs of states and states one by one, rows of a head in one block and in several.
TYPED_TEST(SsdCuda, StepsOfEveryShapeAgreeWithTheOracle) {
  for (const SsdCase& what :
       {SsdCase{{3, 1, 6, 64, 1, 128}, kSsdPacked}, SsdCase{{2, 1, 4, 70, 2, 16}, kSsdPacked},
        SsdCase{{2, 1, 3, 5, 3, 7}, {.skips = 2, .limits = true}},
        SsdCase{{67, 1, 8, 33, 2, 40}, kSsdPacked}, SsdCase{{2, 1, 2, 300, 1, 256}, {}},
        SsdCase{{1, 1, 2, 1, 1, 1}, {}}}) {
    for (const int64_t pad : {0, 3}) {
      const Solved oracle(operands<TypeParam>(what, 12));
      const SsdPlan plan = ssd_scan_plan<TypeParam>(what.size);
      EXPECT_EQ(plan.engine, SsdEngine::kStep);
      SsdDevice<TypeParam> device(oracle.before, pad), again(oracle.before, pad);
      device.run(device.args(), plan);
      again.run(again.args(), plan);
      expect_outputs("step pad " + std::to_string(pad) + " " + name(what.size), oracle, device);
      EXPECT_EQ(device.y(), again.y());
      EXPECT_EQ(device.h(), again.h());
    }
  }
}

TYPED_TEST(SsdCuda, Causality) {
  const SsdCase what{{1, 150, 2, 40, 1, 16}, {}};
  const Oracle same = operands<TypeParam>(what, 6);
  Oracle other = same;
  const int64_t row = what.size.heads * what.size.head_dim, at = 70;
  for (int64_t i = at * row; i < std::ssize(other.x); ++i) other.x[i] = 2 * other.x[i] + 1;
  for (const SsdPlan& plan : chosen<TypeParam>(what.size)) {
    SsdDevice<TypeParam> one(same), two(other);
    one.run(one.args(), plan);
    two.run(two.args(), plan);
    const std::vector<double> first = one.y(), second = two.y();
    EXPECT_TRUE(std::equal(first.begin(), first.begin() + at * row, second.begin()));
    EXPECT_FALSE(std::equal(first.begin(), first.end(), second.begin()));
  }
}

TYPED_TEST(SsdCuda, WhatPrecededASequenceDoesNotMatter) {
  for (const int64_t head_dim : {37, 64}) {
    const SsdCase what{{1, 150, 2, head_dim, 1, 16}, kSsdPacked};
    Oracle clean = operands<TypeParam>(what, 7), dirty = clean;
    clean.starts[0] = dirty.starts[0] = 1;
    std::fill(dirty.h.begin(), dirty.h.end(), std::numeric_limits<double>::infinity());
    for (const SsdPlan& plan : plans<TypeParam>(what.size)) {
      SsdDevice<TypeParam> one(clean), other(dirty);
      one.run(one.args(), plan);
      other.run(other.args(), plan);
      EXPECT_EQ(one.y(), other.y()) << name(plan);
      EXPECT_EQ(one.h(), other.h()) << name(plan);
    }
  }
}

TYPED_TEST(SsdCuda, WrongShapesAreRefused) {
  const Oracle oracle = operands<TypeParam>({{2, 9, 8, 3, 2, 4}, kSsdPacked}, 8);
  SsdDevice<TypeParam> device(oracle);
  auto args = device.args();
  args.in.A = args.in.A.slice(0, 0, 3);
  EXPECT_THROW(ssd_cuda(args, {}, nullptr), InvalidArgument);
  args = device.args();
  args.in.starts = args.in.starts.slice(1, 0, 8);
  EXPECT_THROW(ssd_cuda(args, {}, nullptr), InvalidArgument);
  args = device.args();
  args.in.B = args.in.B.slice(2, 0, 0);
  args.in.C = args.in.C.slice(2, 0, 0);
  EXPECT_THROW(ssd_cuda(args, {}, nullptr), InvalidArgument);
  args = device.args();
  args.in.limits = {2.0f, 1.0f};
  EXPECT_THROW(ssd_cuda(args, {}, nullptr), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
