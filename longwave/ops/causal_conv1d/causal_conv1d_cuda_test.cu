// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/ops/causal_conv1d/testing/conv_device.h"

namespace longwave::ops {
namespace {

using testing::ConvDevice;
using testing::expect_close;
using Case = testing::ConvCase;

constexpr ConvActivation kNone = ConvActivation::kNone;
constexpr Case kCases[] = {
    {2, 11, 33, 4},         {2, 11, 33, 4, kNone}, {1, 1, 1, 1},
    {3, 0, 5, 4},           {2, 1, 17, 4},         {1, 2, 16, 4, kNone, false},
    {2, 300, 20, 4},        {1, 600, 7, 3},        {1, 530, 40, 4, kNone, false},
    {2, 40, 19, 2},         {1, 50, 31, 1},        {1, 65, 200, 4},
    {2, 64, 300, 8},        {1, 67, 5, 5},         {1, 3, 5, 8},
    {1, 128, 129, 4, kNone}};

template <typename T>
class CausalConv1dCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16>;
TYPED_TEST_SUITE(CausalConv1dCuda, Types);

TYPED_TEST(CausalConv1dCuda, AgreesWithTheOracle) {
  for (const Case& size : kCases) {
    ConvDevice<TypeParam> run(size);
    run.on_host();
    run.on_device();
    const int64_t terms = 8 * (size.width + 4), sums = terms + size.batch * size.time;
    const auto signals = [&](const char* what, const std::vector<double>& expected,
                             const std::vector<double>& got) {
      expect_close<TypeParam>(name(size) + what, run.dense(expected), run.dense(got), terms);
    };
    signals(" y", run.y, run.y_on.wide());
    signals(" dx", run.dx, run.dx_on.wide());
    expect_close<TypeParam>(name(size) + " final", run.final, run.final_on.wide(), terms);
    expect_close<TypeParam>(name(size) + " dhistory", run.dhistory, run.dhistory_on.wide(), terms);
    expect_close<float>(name(size) + " dw", run.dw, run.dw_on.wide(), sums);
    expect_close<float>(name(size) + " db", run.db, run.db_on.wide(), sums);
  }
}

TYPED_TEST(CausalConv1dCuda, SameArgumentsSameBits) {
  for (const Case& size : {Case{3, 200, 130, 4}, Case{2, 90, 40, 4, kNone}, Case{2, 70, 33, 3}}) {
    ConvDevice<TypeParam> one(size), other(size);
    one.on_device();
    other.on_device();
    EXPECT_EQ(one.dense(one.y_on.wide()), other.dense(other.y_on.wide()));
    EXPECT_EQ(one.dense(one.dx_on.wide()), other.dense(other.dx_on.wide()));
    EXPECT_EQ(one.final_on.wide(), other.final_on.wide());
    EXPECT_EQ(one.dhistory_on.wide(), other.dhistory_on.wide());
    EXPECT_EQ(one.dw_on.wide(), other.dw_on.wide());
    EXPECT_EQ(one.db_on.wide(), other.db_on.wide());
  }
}

// Runs steps [begin, begin + count) from one history to the other.
template <typename T>
void run_part(ConvDevice<T>& device, int64_t begin, int64_t count, const View<T, 3>& from,
              const View<T, 3>& to) {
  CausalConv1dCudaArgs<T> args = device.args();
  args.x = args.x.slice(1, begin, count);
  args.y = args.y.slice(1, begin, count);
  if (!args.starts.absent()) args.starts = args.starts.slice(1, begin, count);
  args.history = from;
  args.final_history = to;
  causal_conv1d_cuda<T>(args, nullptr);
}

// Odd shapes, filters of every plan, packed and not.
constexpr Case kParts[] = {
    {2, 150, 40, 4}, {3, 67, 33, 4}, {1, 70, 129, 3}, {2, 40, 20, 8}, {2, 66, 132, 4, kNone, false},
    {2, 33, 7, 1}};

TYPED_TEST(CausalConv1dCuda, SplitInvariance) {
  for (const Case& size : kParts) {
    ConvDevice<TypeParam> whole(size), parts(size);
    const View<TypeParam, 3> absent, first = parts.rows(parts.history_on.data());
    whole.on_device();
    // What lies between has a place of its own.
    testing::DeviceBuffer<TypeParam> between(
        static_cast<int64_t>(size.batch * (size.width - 1) * size.channels));
    const View<TypeParam, 3> middle = parts.rows(between.data());
    const View<TypeParam, 3> last = parts.rows(parts.final_on.data());
    for (const int64_t cut : {int64_t{0}, int64_t{1}, int64_t{2}, int64_t{31}, size.time}) {
      run_part(parts, 0, cut, size.optional ? first : absent, middle);
      run_part(parts, cut, size.time - cut, middle, last);
      EXPECT_EQ(whole.dense(whole.y_on.wide()), parts.dense(parts.y_on.wide()))
          << name(size) << " cut at " << cut;
      EXPECT_EQ(whole.final_on.wide(), parts.final_on.wide()) << name(size) << " cut at " << cut;
    }
  }
}

TYPED_TEST(CausalConv1dCuda, StepsEqualTheWhole) {
  for (const Case& size : kParts) {
    ConvDevice<TypeParam> whole(size), steps(size);
    whole.on_device();
    // Histories take turns.
    View<TypeParam, 3> from, to = steps.rows(steps.final_on.data());
    const View<TypeParam, 3> other = steps.rows(steps.history_on.data());
    if (size.optional) from = other;
    for (int64_t t = 0; t < size.time; ++t) {
      run_part(steps, t, 1, from, to);
      from = to;
      to = t % 2 == 0 ? other : steps.rows(steps.final_on.data());
    }
    const auto& last = size.time % 2 == 0 ? steps.history_on : steps.final_on;
    EXPECT_EQ(whole.dense(whole.y_on.wide()), steps.dense(steps.y_on.wide())) << name(size);
    EXPECT_EQ(whole.final_on.wide(), last.wide()) << name(size);
  }
}

TYPED_TEST(CausalConv1dCuda, Causality) {
  for (const Case& size : {Case{1, 150, 40, 4}, Case{1, 67, 33, 3}}) {
    for (const int64_t changed : {int64_t{0}, int64_t{5}, int64_t{63}, size.time - 1}) {
      ConvDevice<TypeParam> one(size), other(size);
      for (size_t i = changed * one.pitch; i < other.x.size(); ++i) other.x[i] += 8.0;
      testing::DeviceBuffer<TypeParam> later(other.x);
      auto args = other.args();
      args.x = other.signal(later.data());
      causal_conv1d_cuda<TypeParam>(one.args(), nullptr);
      causal_conv1d_cuda<TypeParam>(args, nullptr);
      const auto expected = one.dense(one.y_on.wide()), got = other.dense(other.y_on.wide());
      EXPECT_TRUE(std::equal(got.begin(), got.begin() + changed * size.channels, expected.begin()))
          << name(size) << " step " << changed;
      EXPECT_NE(expected, got);
    }
  }
}

TYPED_TEST(CausalConv1dCuda, WrongShapesAreRefused) {
  EXPECT_THROW(ConvDevice<TypeParam>(Case{1, 5, 3, 9}).on_device(), InvalidArgument)
      << "a long filter";
  ConvDevice<TypeParam> device(Case{2, 9, 8, 4});
  auto args = device.args();
  args.w = args.w.slice(0, 0, 7);
  EXPECT_THROW(causal_conv1d_cuda<TypeParam>(args, nullptr), InvalidArgument);
  args = device.args();
  args.history = args.history.slice(1, 0, 2);
  EXPECT_THROW(causal_conv1d_cuda<TypeParam>(args, nullptr), InvalidArgument);
  args = device.args();
  args.starts = args.starts.slice(1, 0, 8);
  EXPECT_THROW(causal_conv1d_cuda<TypeParam>(args, nullptr), InvalidArgument);
  auto grads = device.grad_args();
  grads.dx = grads.dx.slice(2, 0, 7);
  EXPECT_THROW(causal_conv1d_cuda_backward<TypeParam>(grads, {}, nullptr), InvalidArgument);
  EXPECT_THROW(causal_conv1d_cuda_backward<TypeParam>(device.grad_args(), {}, nullptr),
               InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
