// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <string>
#include <type_traits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/ops/linear_scan/linear_scan_cuda.h"
#include "longwave/ops/linear_scan/linear_scan_ref.h"
#include "longwave/ops/linear_scan/testing/linear_problem.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops {
namespace {

using longwave::testing::Tolerance;
using longwave::testing::Worst;
using testing::DeviceBuffer;
using testing::kLinearSizes;
using testing::kSharings;
using testing::Sharing;
using Size = testing::LinearSize;

// The judge's numbers: double, or complex of it.
template <typename T>
using Double =
    std::conditional_t<std::is_same_v<T, std::complex<float>>, std::complex<double>, double>;
template <typename T>
using Oracle = testing::LinearProblem<Double<T>>;

double epsilon(__nv_bfloat16) { return testing::kEpsilon<__nv_bfloat16>; }
double epsilon(float) { return testing::kEpsilon<float>; }
double epsilon(std::complex<float>) { return testing::kEpsilon<float>; }

double widened(__nv_bfloat16 x) { return static_cast<double>(static_cast<float>(x)); }
double widened(float x) { return x; }
std::complex<double> widened(std::complex<float> x) { return x; }

__nv_bfloat16 narrowed(double x, __nv_bfloat16) { return static_cast<__nv_bfloat16>(float(x)); }
float narrowed(double x, float) { return static_cast<float>(x); }
std::complex<float> narrowed(std::complex<double> x, std::complex<float>) {
  return std::complex<float>(x);
}

template <typename T, typename From>
std::vector<T> narrowed_all(const std::vector<From>& numbers) {
  std::vector<T> narrow;
  for (const From& x : numbers) narrow.push_back(narrowed(x, T()));
  return narrow;
}

template <typename T>
auto host(const DeviceBuffer<T>& buffer) {
  std::vector<decltype(widened(T()))> numbers;
  for (const T& x : buffer.host()) numbers.push_back(widened(x));
  return numbers;
}

// Operands and results of both passes on a GPU; outputs start as NaN.
template <typename T>
struct Device {
  using State = LinearScanState<T>;

  Device(const Oracle<T>& oracle, const std::vector<Double<T>>& states)
      : size(oracle.size),
        rows(oracle.rows),
        steps(oracle.steps),
        a(narrowed_all<T>(oracle.a)),
        b(narrowed_all<T>(oracle.b)),
        h(static_cast<int64_t>(oracle.b.size())),
        states(narrowed_all<T>(states)),
        dh(narrowed_all<T>(oracle.dh)),
        da(static_cast<int64_t>(oracle.a.size())),
        db(static_cast<int64_t>(oracle.b.size())),
        h0(narrowed_all<State>(oracle.h0)),
        final(static_cast<int64_t>(oracle.h0.size())),
        dfinal(narrowed_all<State>(oracle.dfinal)),
        dh0(static_cast<int64_t>(oracle.h0.size())) {}

  View<T, 3> signal(DeviceBuffer<T>& data) const {
    return {data.data(), {size.batch, size.time, size.channels}};
  }
  View<T, 3> factor(DeviceBuffer<T>& data) const {
    return {data.data(), {rows, steps, size.channels}};
  }
  View<State, 2> row(DeviceBuffer<State>& data) const {
    return {data.data(), {size.batch, size.channels}};
  }
  LinearScanCudaArgs<T> args() {
    return {.a = factor(a), .b = signal(b), .h0 = row(h0), .h = signal(h), .final = row(final)};
  }
  LinearScanCudaGradArgs<T> grad_args() {
    return {.a = factor(a),
            .h = signal(states),
            .h0 = row(h0),
            .dh = signal(dh),
            .dfinal = row(dfinal),
            .da = factor(da),
            .db = signal(db),
            .dh0 = row(dh0)};
  }

  void run(int64_t segments) { run(args(), grad_args(), segments); }
  void run(const LinearScanCudaArgs<T>& args, const LinearScanCudaGradArgs<T>& grads,
           int64_t segments) {
    const size_t bytes =
        linear_scan_cuda_workspace_bytes({size.batch, size.time, size.channels}, segments);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    linear_scan_cuda(args, segments, {workspace.data(), bytes}, nullptr);
    linear_scan_cuda_backward(grads, segments, {workspace.data(), bytes}, nullptr);
    testing::require_cuda(cudaDeviceSynchronize());
  }

  Size size;
  int64_t rows, steps;
  DeviceBuffer<T> a, b, h, states, dh, da, db;
  DeviceBuffer<State> h0, final, dfinal, dh0;
};

template <typename T>
class LinearScanCuda : public ::testing::Test {};
using Types = ::testing::Types<float, __nv_bfloat16, std::complex<float>>;
TYPED_TEST_SUITE(LinearScanCuda, Types);

// A problem that T holds, solved: the gradient is that of the states as T holds them.
template <typename T>
struct Solved {
  Solved(const Size& size, const Sharing& sharing, uint64_t seed) : oracle(size, sharing, seed) {
    for (auto* numbers : {&oracle.a, &oracle.b, &oracle.dh}) {
      for (auto& x : *numbers) x = widened(narrowed(x, T()));
    }
    linear_scan_ref(oracle.args());
    const auto exact = oracle.h;
    for (auto& x : oracle.h) x = widened(narrowed(x, T()));
    states = oracle.h;
    linear_scan_backward_ref(oracle.grad_args());
    oracle.h = exact;
  }
  Oracle<T> oracle;
  std::vector<Double<T>> states;
};

template <typename Expected, typename T>
void expect_close(const std::string& what, const std::vector<Expected>& expected,
                  const DeviceBuffer<T>& buffer, int64_t terms, double magnitude) {
  const auto got = host(buffer);
  ASSERT_EQ(expected.size(), got.size()) << what;
  if (got.empty()) return;
  Worst worst(what);
  for (size_t i = 0; i < got.size(); ++i) {
    Tolerance bound = Tolerance::sum<float>(terms, magnitude);
    bound.bound += epsilon(T()) / 2 * std::abs(expected[i]);
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
  const double rounded = std::is_same_v<T, __nv_bfloat16> && got.rows == 1
                             ? epsilon(T()) / testing::kEpsilon<float>
                             : 1.0;
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
        Device<TypeParam> device(solved.oracle, solved.states);
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
    Device<TypeParam> given(zero, solved.states), absent(solved.oracle, solved.states);
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
    Device<TypeParam> apart(solved.oracle, solved.states), inside(solved.oracle, solved.states);
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
    Device<TypeParam> one(solved.oracle, solved.states), other(solved.oracle, solved.states);
    one.run(segments);
    other.run(segments);
    EXPECT_EQ(host(one.h), host(other.h));
    EXPECT_EQ(host(one.da), host(other.da));
    EXPECT_EQ(host(one.db), host(other.db));
  }
}

TYPED_TEST(LinearScanCuda, WrongShapesAreRefused) {
  const Solved<TypeParam> solved({2, 9, 8}, {0, 0}, 5);
  Device<TypeParam> device(solved.oracle, solved.states);
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
