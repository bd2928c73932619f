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

using testing::gradients_of;
using testing::kEpsilon;
using testing::kSsdCapacities;
using testing::kSsdCases;
using testing::kSsdPacked;
using testing::kSsdWideCases;
using testing::name;
using testing::NamedGradient;
using testing::SsdCase;
using testing::SsdGradDevice;
using testing::Tolerance;
using testing::Worst;
using Oracle = testing::SsdProblem<double>;

template <typename T>
class SsdGradientCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(SsdGradientCuda, Types);

// A problem whose gradients are there, and the sums of the sizes of their terms.
struct Solved {
  Oracle problem, magnitude;
  std::vector<double> steps, rates, biases;  // those of ddt, dA and ddt_bias

  Solved(const Oracle& oracle, int64_t chunk) : problem(oracle), magnitude(oracle) {
    problem.backward();
    magnitude.make_positive();
    magnitude.backward();
    steps = testing::step_magnitude(magnitude);
    rates = magnitude.dA;
    biases.assign(problem.size.heads, 0.0);
    for (int64_t b = 0; b < problem.size.batch; ++b) {
      for (int64_t i = 0; i < problem.size.heads; ++i) {
        for (int64_t t = 0; t < problem.size.time; t += chunk) {
          widen(b, t, std::min(chunk, problem.size.time - t), i);
        }
      }
    }
  }

 private:
  // What passes a step is found from what passes any of its chunk: the most of those counts.
  void widen(int64_t b, int64_t first, int64_t count, int64_t head) {
    const SsdGradArgs<double> args = magnitude.grad_args();
    View<double, 3> of_steps(steps.data(), args.dt.extents());
    double most = 0;
    const auto slope = [&](int64_t t) {
      return 1 / (1 + std::exp(-ssd_raw_step<double>(args, b, t, head)));
    };
    for (int64_t t = first; t < first + count; ++t) {
      most = std::max(most, of_steps(b, t, head) / slope(t));
    }
    for (int64_t t = first; t < first + count; ++t) {
      of_steps(b, t, head) = most * slope(t);
      biases[head] += most * slope(t);
      rates[head] += ssd_step_size<double>(args, b, t, head) * most / std::abs(args.A(head));
    }
  }
};

template <typename T>
Solved solved(const SsdCase& what, uint64_t seed) {
  Oracle oracle(what.size, what.options, seed);
  testing::round_operands<T>(oracle);
  return Solved(oracle, kSsdCudaChunk<T>);
}

// float32 sums, what rounding of factors to T does on three of their ways at most, and the
// rounding of the number itself where it leaves as T.
template <typename T>
void expect_gradients(const std::string& what, const Solved& oracle,
                      const SsdGradDevice<T>& device) {
  const std::vector<NamedGradient> expected = gradients_of(oracle.problem);
  const std::vector<NamedGradient> sizes = gradients_of(oracle.magnitude);
  const std::vector<std::vector<double>> got = device.gradients();
  ASSERT_EQ(expected.size(), got.size());
  for (size_t k = 0; k < got.size(); ++k) {
    const std::string which = expected[k].name;
    const std::vector<double>& magnitude = which == "ddt"        ? oracle.steps
                                           : which == "dA"       ? oracle.rates
                                           : which == "ddt_bias" ? oracle.biases
                                                                 : *sizes[k].numbers;
    const std::vector<double>& wanted = *expected[k].numbers;
    ASSERT_EQ(wanted.size(), got[k].size()) << what << ' ' << which;
    if (wanted.empty()) continue;
    Worst worst(what + ' ' + which);
    for (size_t i = 0; i < wanted.size(); ++i) {
      Tolerance bound = testing::ssd_bound(magnitude[i]);
      if (sizeof(T) == 2) bound.bound += 3 * kEpsilon<T> / 2 * magnitude[i];
      bound.bound += testing::rounding<T>(wanted[i]);
      worst.compare(static_cast<int64_t>(i), wanted[i], got[k][i], bound);
    }
    EXPECT_TRUE(worst.ok());
  }
}

// Whether blocks of a GPU have room for the states.
template <typename T>
bool has_room(const SsdSize& size, const gpu::Capacity& capacity) {
  return size.state <= ssd_grad_most_states<T>(capacity);
}

// The plans that would be chosen here and on other GPUs, and others with time whole and cut, and
// heads apart, of both engines where they fit.
template <typename T>
std::vector<SsdGradPlan> plans(const SsdSize& size) {
  std::vector<SsdGradPlan> all = {ssd_grad_plan<T>(size)};
  const std::vector<gpu::Capacity> here = testing::ssd_capacities_here();
  for (const gpu::Capacity& capacity : here) {
    if (has_room<T>(size, capacity)) all.push_back(ssd_grad_plan<T>(size, capacity));
  }
  const gpu::Capacity& most = here.front();
  const int64_t share = size.groups == 0 ? 1 : std::max<int64_t>(1, size.heads / size.groups);
  for (const int64_t heads : {int64_t{1}, share}) {
    for (const int64_t segments : {1, 3}) {
      SsdGradPlan plan = ssd_grad_plan<T>(size, most, heads);
      plan.march = ssd_plan<T>(size, most, 1, segments);
      all.push_back(plan);
    }
  }
  if (share > 2) all.push_back(ssd_grad_plan<T>(size, most, 2));
  if (!ssd_grad_fits_warpgroups<T>(size)) return all;
  for (const int64_t heads : {int64_t{1}, int64_t{2}, share}) {
    all.push_back(ssd_grad_plan<T>(size, most, heads));
    all.back().engine = SsdEngine::kWarpgroups;
  }
  return all;
}

// What needs no GPU.
template <typename T>
class SsdGradientCudaPlan : public ::testing::Test {};
TYPED_TEST_SUITE(SsdGradientCudaPlan, Types);

TYPED_TEST(SsdGradientCudaPlan, BlocksHaveRoomOnEveryGpu) {
  for (const SsdSize& size : testing::ssd_sizes_of_models()) {
    for (const gpu::Capacity& capacity : kSsdCapacities) {
      if (!has_room<TypeParam>(size, capacity)) continue;
      EXPECT_LE(ssd_grad_shared_bytes<TypeParam>(size, ssd_grad_plan<TypeParam>(size, capacity)),
                capacity.shared_bytes)
          << name(size);
    }
  }
}

TYPED_TEST(SsdGradientCudaPlan, HalfTheStatesHaveRoomOnEveryGpu) {
  for (const gpu::Capacity& capacity : kSsdCapacities) {
    const bool small = capacity.shared_bytes < 151 * 1024;
    EXPECT_EQ(ssd_grad_most_states<TypeParam>(capacity), kSsdCudaStates / (small ? 2 : 1));
  }
}

template <typename T>
void expect_every_plan(const SsdCase& what, uint64_t seed) {
  const Solved oracle = solved<T>(what, seed);
  for (const SsdGradPlan& plan : plans<T>(what.size)) {
    SsdGradDevice<T> device(oracle.problem);
    device.run(device.grad_args(), plan);
    const bool warps = plan.engine == SsdEngine::kWarps;
    expect_gradients(name(what.size) + (warps ? " warps" : " warpgroups") + " heads " +
                         std::to_string(plan.heads) + " columns " + std::to_string(plan.columns) +
                         " stages " + std::to_string(plan.march.stages) + " segments " +
                         std::to_string(plan.march.segments),
                     oracle, device);
  }
}

TYPED_TEST(SsdGradientCuda, EveryPlanAgreesWithTheOracle) {
  for (const SsdCase& what : kSsdCases) expect_every_plan<TypeParam>(what, 1);
}

TYPED_TEST(SsdGradientCuda, WideShapesAgreeWithTheOracle) {
  for (const SsdCase& what : kSsdWideCases) expect_every_plan<TypeParam>(what, 2);
}

TYPED_TEST(SsdGradientCuda, StridedRowsAgreeWithTheOracle) {
  for (const int64_t pad : {8, 3}) {
    const SsdCase what{{2, 100, 4, 32, 2, 24}, kSsdPacked};
    const Solved oracle = solved<TypeParam>(what, 3);
    SsdGradDevice<TypeParam> device(oracle.problem, pad);
    device.run(device.grad_args(), ssd_grad_plan<TypeParam>(what.size));
    expect_gradients("pad " + std::to_string(pad), oracle, device);
  }
}

TYPED_TEST(SsdGradientCuda, AbsentStatesAreZeros) {
  // Of the second size warpgroups find the gradients, too.
  for (const SsdSize& size : {SsdSize{2, 70, 2, 9, 1, 11}, SsdSize{2, 70, 2, 64, 1, 64}}) {
    Oracle oracle(size, kSsdPacked, 4);
    testing::round_operands<TypeParam>(oracle);
    std::fill(oracle.h.begin(), oracle.h.end(), 0.0);
    std::fill(oracle.dh.begin(), oracle.dh.end(), 0.0);
    for (const SsdGradPlan& plan : plans<TypeParam>(size)) {
      SsdGradDevice<TypeParam> zeros(oracle), absent(oracle);
      zeros.run(zeros.grad_args(), plan);
      auto args = absent.grad_args();
      args.h0 = {};
      args.dh = {};
      absent.run(args, plan);
      EXPECT_EQ(zeros.gradients(), absent.gradients()) << name(size);
    }
  }
}

TYPED_TEST(SsdGradientCuda, SameArgumentsSameBits) {
  const Oracle oracle = solved<TypeParam>({{2, 300, 6, 64, 1, 64}, kSsdPacked}, 5).problem;
  for (const SsdGradPlan& plan : plans<TypeParam>(oracle.size)) {
    SsdGradDevice<TypeParam> one(oracle), other(oracle);
    one.run(one.grad_args(), plan);
    other.run(other.grad_args(), plan);
    EXPECT_EQ(one.gradients(), other.gradients());
  }
}

TYPED_TEST(SsdGradientCuda, WhatPrecededASequenceDoesNotMatter) {
  for (const SsdSize& size : {SsdSize{1, 150, 2, 37, 1, 16}, SsdSize{1, 150, 2, 64, 1, 64}}) {
    Oracle clean(size, kSsdPacked, 6);
    testing::round_operands<TypeParam>(clean);
    clean.starts[0] = 1;
    Oracle dirty = clean;
    std::fill(dirty.h.begin(), dirty.h.end(), std::numeric_limits<double>::infinity());
    for (const SsdGradPlan& plan : plans<TypeParam>(size)) {
      SsdGradDevice<TypeParam> one(clean), other(dirty);
      one.run(one.grad_args(), plan);
      other.run(other.grad_args(), plan);
      EXPECT_EQ(one.gradients(), other.gradients()) << name(size);
    }
  }
}

TYPED_TEST(SsdGradientCuda, WrongShapesAreRefused) {
  const Oracle oracle = solved<TypeParam>({{2, 9, 8, 3, 2, 4}, kSsdPacked}, 7).problem;
  SsdGradDevice<TypeParam> device(oracle);
  auto args = device.grad_args();
  args.dA = args.dA.slice(0, 0, 3);
  EXPECT_THROW(ssd_cuda_backward(args, {}, nullptr), InvalidArgument);
  args = device.grad_args();
  args.dD = {};
  EXPECT_THROW(ssd_cuda_backward(args, {}, nullptr), InvalidArgument);
  args = device.grad_args();
  args.dB = args.dB.slice(1, 0, 8);
  EXPECT_THROW(ssd_cuda_backward(args, {}, nullptr), InvalidArgument);
  EXPECT_THROW(ssd_cuda_backward(device.grad_args(), {}, nullptr), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
