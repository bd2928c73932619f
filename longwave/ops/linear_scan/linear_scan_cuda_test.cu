// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/linear_scan/linear_scan_cuda.h"
#include "longwave/ops/linear_scan/testing/linear_device.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;
using testing::DeviceBuffer;
using testing::host;
using testing::kLinearSizes;
using testing::kSharings;
using testing::Sharing;
using Size = testing::LinearSize;

template <typename T>
using Double = testing::LinearDouble<T>;
template <typename T>
using Oracle = testing::LinearOracle<T>;
template <typename T>
using Device = testing::LinearDevice<T>;
template <typename T>
using Solved = testing::LinearSolved<T>;

template <typename T>
class LinearScanCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __half, __nv_bfloat16, std::complex<float>>;
TYPED_TEST_SUITE(LinearScanCuda, Types);

template <typename Expected, typename T>
void expect_close(const std::string& what, const std::vector<Expected>& expected,
                  const DeviceBuffer<T>& buffer, int64_t terms, double magnitude) {
  const auto got = host(buffer);
  ASSERT_EQ(expected.size(), got.size()) << what;
  if (got.empty()) return;
  Worst worst(what);
  for (size_t i = 0; i < got.size(); ++i) {
    Tolerance bound = Tolerance::sum<float>(terms, magnitude);
    bound.bound += testing::kPartEpsilon<T> / 2 * std::abs(expected[i]);
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
  }
  EXPECT_TRUE(worst.ok());
}

// States collect at most about 1 / (1 - |a|) = 50 inputs; da adds products of two of them.
template <typename T>
void expect_results(const std::string& what, const Oracle<T>& oracle, const Device<T>& got) {
  expect_close(what + " h", oracle.h, got.h, 50, 50);
  expect_close(what + " final", oracle.final, got.final, 50, 50);
  expect_close(what + " db", oracle.db, got.db, 50, 50);
  expect_close(what + " dh0", oracle.dh0, got.dh0, 50, 50);
  // What rounding of db leaves of a sum over the batch.
  const double rounded =
      sizeof(T) == 2 && got.rows == 1 ? testing::kPartEpsilon<T> / testing::kEpsilon<float> : 1.0;
  expect_close(what + " da", oracle.da, got.da, 50 + oracle.size.batch * oracle.size.time,
               2500 * rounded);
}

std::vector<Size> sizes() {
  std::vector<Size> all(kLinearSizes.begin(), kLinearSizes.end());
  all.push_back({2, 1000, 40});
  return all;
}

TYPED_TEST(LinearScanCuda, AgreesWithTheOracle) {
  for (const Size& size : sizes()) {
    for (const Sharing& sharing : kSharings) {
      const Solved<TypeParam> solved(size, sharing, 1);
      for (const int64_t segments :
           {linear_scan_segments({size.batch, size.time, size.channels}), int64_t{1}, int64_t{3}}) {
        Device<TypeParam> device(solved);
        device.run(segments);
        expect_results(name(size, sharing) + " segments " + std::to_string(segments), solved.oracle,
                       device);
      }
    }
  }
}

TYPED_TEST(LinearScanCuda, OptionalOperandsCountAsZero) {
  const Solved<TypeParam> solved({2, 130, 19}, {0, 1}, 2);
  Oracle<TypeParam> zero = solved.oracle;
  std::fill(zero.h0.begin(), zero.h0.end(), Double<TypeParam>(0));
  std::fill(zero.dfinal.begin(), zero.dfinal.end(), Double<TypeParam>(0));
  for (const int64_t segments : {1, 2}) {
    Device<TypeParam> given(zero, solved.states), absent(solved);
    given.run(segments);
    auto args = absent.args();
    args.h0 = {};
    auto grads = absent.grad_args();
    grads.h0 = {};
    grads.dfinal = {};
    absent.run(args, grads, segments);
    EXPECT_EQ(host(given.h), host(absent.h));
    EXPECT_EQ(host(given.da), host(absent.da));
    EXPECT_EQ(host(given.db), host(absent.db));
    grads.da = {};
    absent.run(args, grads, segments);
    EXPECT_EQ(host(given.db), host(absent.db));
  }
}

TYPED_TEST(LinearScanCuda, StatesMayReplaceInputs) {
  const Solved<TypeParam> solved({2, 300, 40}, {0, 0}, 3);
  for (const int64_t segments : {1, 2}) {
    Device<TypeParam> apart(solved), inside(solved);
    apart.run(segments);
    auto args = inside.args();
    args.h = inside.signal(inside.b);
    args.final = inside.row(inside.h0);
    auto grads = inside.grad_args();
    grads.h0 = {};
    inside.run(args, grads, segments);
    EXPECT_EQ(host(apart.h), host(inside.b));
    EXPECT_EQ(host(apart.final), host(inside.h0));
  }
}

TYPED_TEST(LinearScanCuda, SameArgumentsSameBits) {
  const Solved<TypeParam> solved({3, 400, 50}, {0, 1}, 4);
  for (const int64_t segments : {1, 3}) {
    Device<TypeParam> one(solved), other(solved);
    one.run(segments);
    other.run(segments);
    EXPECT_EQ(host(one.h), host(other.h));
    EXPECT_EQ(host(one.da), host(other.da));
    EXPECT_EQ(host(one.db), host(other.db));
  }
}

// The same operands for steps [begin, begin + count), from the state `first`.
template <typename T>
LinearScanCudaArgs<T> steps(LinearScanCudaArgs<T> args, int64_t begin, int64_t count,
                            const View<LinearScanState<T>, 2>& first) {
  if (args.a.extent(1) != 1) args.a = args.a.slice(1, begin, count);
  args.b = args.b.slice(1, begin, count);
  args.h = args.h.slice(1, begin, count);
  args.h0 = first;
  return args;
}

template <typename T>
void expect_states(const std::string& what, const Oracle<T>& oracle, const Device<T>& got) {
  expect_close(what + " h", oracle.h, got.h, 50, 50);
  expect_close(what + " final", oracle.final, got.final, 50, 50);
}

TYPED_TEST(LinearScanCuda, SplitInvariance) {
  for (const Sharing& sharing : kSharings) {
    const Solved<TypeParam> solved({2, 300, 37}, sharing, 6);
    const int64_t time = solved.oracle.size.time;
    for (const int64_t cut : {int64_t{0}, int64_t{1}, int64_t{64}, int64_t{133}, time - 1, time}) {
      Device<TypeParam> parts(solved);
      const auto whole = parts.args();
      parts.run(steps(whole, 0, cut, parts.row(parts.h0)), 2);
      // Steps go on from the state in place.
      parts.run(steps(whole, cut, time - cut, parts.row(parts.final)), 2);
      expect_states(name(solved.oracle.size, sharing) + " cut at " + std::to_string(cut),
                    solved.oracle, parts);
    }
  }
}

TYPED_TEST(LinearScanCuda, StepsEqualTheScan) {
  for (const Size& size : {Size{1, 40, 1}, Size{3, 70, 37}, Size{2, 65, 130}}) {
    for (const Sharing& sharing : kSharings) {
      const Solved<TypeParam> solved(size, sharing, 7);
      Device<TypeParam> device(solved);
      for (int64_t t = 0; t < size.time; ++t) {
        const auto from = device.row(t == 0 ? device.h0 : device.final);
        device.run(steps(device.args(), t, 1, from), 1);
      }
      expect_states(name(size, sharing), solved.oracle, device);
    }
  }
}

TYPED_TEST(LinearScanCuda, Causality) {
  const Size size{2, 300, 37};
  for (const int64_t changed : {0, 7, 64, 200, 299}) {
    const Solved<TypeParam> clean(size, {0, 0}, 8);
    Solved<TypeParam> dirty = clean;
    for (int64_t row = 0; row < size.batch; ++row) {
      const int64_t first = (row * size.time + changed) * size.channels;
      for (int64_t i = first; i < (row + 1) * size.time * size.channels; ++i) {
        dirty.oracle.a[i] *= 0.5;
        dirty.oracle.b[i] += 8.0;
      }
    }
    for (const int64_t segments : {1, 3}) {
      Device<TypeParam> one(clean), other(dirty);
      one.run(one.args(), segments);
      other.run(other.args(), segments);
      const auto expected = host(one.h), got = host(other.h);
      for (int64_t row = 0; row < size.batch; ++row) {
        const int64_t first = row * size.time * size.channels;
        EXPECT_TRUE(std::equal(got.begin() + first, got.begin() + first + changed * size.channels,
                               expected.begin() + first))
            << "step " << changed << " segments " << segments;
      }
      EXPECT_NE(expected, got);
    }
  }
}

TYPED_TEST(LinearScanCuda, WrongShapesAreRefused) {
  const Solved<TypeParam> solved({2, 9, 8}, {0, 0}, 5);
  Device<TypeParam> device(solved);
  auto args = device.args();
  args.a = args.a.slice(1, 0, 3);
  EXPECT_THROW(linear_scan_cuda(args, 1, {}, nullptr), InvalidArgument);
  EXPECT_THROW(linear_scan_cuda(device.args(), 1, {}, nullptr), InvalidArgument);
  auto grads = device.grad_args();
  grads.da = grads.da.slice(2, 0, 3);
  EXPECT_THROW(linear_scan_cuda_backward(grads, 1, {}, nullptr), InvalidArgument);
  EXPECT_THROW(linear_scan_cuda_backward(device.grad_args(), 1, {}, nullptr), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
