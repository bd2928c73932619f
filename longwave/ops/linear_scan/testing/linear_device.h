// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "longwave/ops/linear_scan/linear_scan_cuda.h"
#include "longwave/ops/linear_scan/linear_scan_ref.h"
#include "longwave/ops/linear_scan/testing/linear_problem.h"
#include "longwave/ops/testing/device_buffer.h"

namespace longwave::ops::testing {

template <typename T>
inline constexpr bool kIsComplex = std::is_same_v<T, std::complex<float>>;

/// The judge's numbers: double, or complex of it.
template <typename T>
using LinearDouble = std::conditional_t<kIsComplex<T>, std::complex<double>, double>;
template <typename T>
using LinearOracle = LinearProblem<LinearDouble<T>>;

/// Distance from 1 to the next number of T, or of its parts.
template <typename T>
inline constexpr double kPartEpsilon = kEpsilon<std::conditional_t<kIsComplex<T>, float, T>>;

template <typename T>
LinearDouble<T> widened(const T& x) {
  if constexpr (kIsComplex<T>) {
    return x;
  } else {
    return static_cast<double>(static_cast<float>(x));
  }
}

template <typename T>
T narrowed(const LinearDouble<T>& x) {
  if constexpr (kIsComplex<T>) {
    return std::complex<float>(x);
  } else {
    return static_cast<T>(static_cast<float>(x));
  }
}

template <typename T>
std::vector<T> narrowed_all(const std::vector<LinearDouble<T>>& numbers) {
  std::vector<T> narrow;
  for (const LinearDouble<T>& x : numbers) narrow.push_back(narrowed<T>(x));
  return narrow;
}

template <typename T>
std::vector<LinearDouble<T>> host(const DeviceBuffer<T>& buffer) {
  std::vector<LinearDouble<T>> numbers;
  for (const T& x : buffer.host()) numbers.push_back(widened(x));
  return numbers;
}

/// A problem that T holds, solved: the gradient is that of the states as T holds them.
template <typename T>
struct LinearSolved {
  LinearSolved(const LinearSize& size, const Sharing& sharing, uint64_t seed)
      : oracle(size, sharing, seed) {
    for (auto* numbers : {&oracle.a, &oracle.b, &oracle.dh}) {
      for (auto& x : *numbers) x = widened(narrowed<T>(x));
    }
    linear_scan_ref(oracle.args());
    const auto exact = oracle.h;
    for (auto& x : oracle.h) x = widened(narrowed<T>(x));
    states = oracle.h;
    linear_scan_backward_ref(oracle.grad_args());
    oracle.h = exact;
  }
  LinearOracle<T> oracle;
  std::vector<LinearDouble<T>> states;
};

/// Operands and results of both passes on a GPU; outputs start as NaN.
template <typename T>
struct LinearDevice {
  using State = LinearScanState<T>;

  LinearDevice(const LinearOracle<T>& oracle, const std::vector<LinearDouble<T>>& states)
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
  explicit LinearDevice(const LinearSolved<T>& solved)
      : LinearDevice(solved.oracle, solved.states) {}

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
    run(args, segments);
    const size_t bytes = workspace_bytes(segments);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    linear_scan_cuda_backward(grads, segments, {workspace.data(), bytes}, nullptr);
    require_cuda(cudaDeviceSynchronize());
  }
  void run(const LinearScanCudaArgs<T>& args, int64_t segments) {
    const size_t bytes = workspace_bytes(segments);
    DeviceBuffer<std::byte> workspace(static_cast<int64_t>(bytes));
    linear_scan_cuda(args, segments, {workspace.data(), bytes}, nullptr);
    require_cuda(cudaDeviceSynchronize());
  }
  size_t workspace_bytes(int64_t segments) const {
    return linear_scan_cuda_workspace_bytes({size.batch, size.time, size.channels}, segments);
  }

  LinearSize size;
  int64_t rows, steps;
  DeviceBuffer<T> a, b, h, states, dh, da, db;
  DeviceBuffer<State> h0, final, dfinal, dh0;
};

}  // namespace longwave::ops::testing
