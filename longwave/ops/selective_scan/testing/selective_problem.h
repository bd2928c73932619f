// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/philox.h"
#include "longwave/ops/selective_scan/selective_scan.h"

namespace longwave::ops::testing {

struct SelectiveSize {
  int64_t batch, time, channels, groups, state;
};

/// Whole and partial tiles and states, lengths around the chunk, extents of 0 and 1.
inline constexpr std::array<SelectiveSize, 15> kSelectiveSizes = {{{1, 1, 1, 1, 1},
                                                                   {2, 7, 3, 1, 2},
                                                                   {1, 33, 16, 1, 16},
                                                                   {3, 70, 17, 1, 16},
                                                                   {2, 65, 64, 2, 5},
                                                                   {1, 260, 18, 1, 16},
                                                                   {2, 32, 40, 4, 8},
                                                                   {1, 40, 150, 1, 3},
                                                                   {1, 130, 20, 1, 37},
                                                                   {1, 64, 6, 6, 24},
                                                                   {7, 31, 5, 1, 4},
                                                                   {0, 9, 4, 1, 3},
                                                                   {2, 0, 5, 1, 3},
                                                                   {2, 9, 0, 1, 3},
                                                                   {2, 9, 4, 2, 0}}};

/// Which operands there are.
struct SelectiveVariant {
  StepSize step_size = StepSize::kSoftplus;
  enum class Optional : uint8_t { kNone, kAll } optional = Optional::kAll;
  enum class Packing : uint8_t { kNone, kStarts } packing = Packing::kNone;
};

inline constexpr std::array<SelectiveVariant, 4> kSelectiveVariants = {
    {{StepSize::kSoftplus, SelectiveVariant::Optional::kAll, SelectiveVariant::Packing::kNone},
     {StepSize::kSoftplus, SelectiveVariant::Optional::kAll, SelectiveVariant::Packing::kStarts},
     {StepSize::kSoftplus, SelectiveVariant::Optional::kNone, SelectiveVariant::Packing::kNone},
     {StepSize::kGiven, SelectiveVariant::Optional::kNone, SelectiveVariant::Packing::kStarts}}};

inline std::string name(const SelectiveSize& size) {
  return "batch " + std::to_string(size.batch) + " time " + std::to_string(size.time) +
         " channels " + std::to_string(size.channels) + " groups " + std::to_string(size.groups) +
         " state " + std::to_string(size.state);
}

/// Operands of a scan and its gradient in one place; outputs start as NaN. The same numbers for
/// every T.
template <typename T>
struct SelectiveProblem {
  SelectiveProblem(const SelectiveSize& extents, uint64_t seed, const SelectiveVariant& with = {})
      : size(extents), variant(with), random(seed) {
    const auto [batch, time, channels, groups, state] = size;
    const int64_t signal = batch * time * channels;
    u = normals(signal);
    dt = normals(signal);
    for (T& x : dt) {
      // Steps of about 0.05 to 2, whichever way they are given.
      x = variant.step_size == StepSize::kSoftplus ? x - T(1) : T(0.2) + T(0.1) * std::abs(x);
      x = static_cast<float>(x);
    }
    for (int64_t i = 0; i < channels * state; ++i) {
      A.push_back(-static_cast<float>(random.uniform(0.3, 5.0)));
    }
    B = normals(batch * time * groups * state);
    C = normals(batch * time * groups * state);
    h = normals(batch * channels * state);
    dy = normals(signal);
    dh = normals(batch * channels * state);
    D = normals(channels);
    dt_bias = normals(channels);
    z = normals(signal);
    for (int64_t i = 0; i < batch * time; ++i) starts.push_back(random.uniform() < 0.05 ? 1 : 0);
    poison();
  }

  std::vector<T> normals(int64_t count) {
    std::vector<T> numbers;
    for (int64_t i = 0; i < count; ++i) numbers.push_back(float(random.normal()));
    return numbers;
  }

  void poison() {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    y.assign(u.size(), nan);
    du = ddt = dz = y;
    dA.assign(A.size(), nan);
    dB.assign(B.size(), nan);
    dC = dB;
    dD.assign(D.size(), nan);
    ddt_bias = dD;
    dh0.assign(h.size(), nan);
    const int64_t chunks = selective_scan_chunks(size.time, size.state);
    states.assign(size.batch * chunks * size.state * size.channels, nan);
  }

  bool all() const { return variant.optional == SelectiveVariant::Optional::kAll; }

  SelectiveScanInputs<T> inputs() {
    const auto [batch, time, channels, groups, state] = size;
    SelectiveScanInputs<T> in{.step_size = variant.step_size,
                              .u = {u.data(), {batch, time, channels}},
                              .dt = {dt.data(), {batch, time, channels}},
                              .A = {A.data(), {channels, state}},
                              .B = {B.data(), {batch, time, groups, state}},
                              .C = {C.data(), {batch, time, groups, state}},
                              .D = {},
                              .dt_bias = {},
                              .z = {},
                              .starts = {}};
    if (all()) {
      in.D = {D.data(), {channels}};
      in.dt_bias = {dt_bias.data(), {channels}};
      in.z = {z.data(), {batch, time, channels}};
    }
    if (variant.packing == SelectiveVariant::Packing::kStarts) {
      in.starts = {starts.data(), {batch, time}};
    }
    return in;
  }

  SelectiveScanArgs<T> args() {
    const auto [batch, time, channels, groups, state] = size;
    const int64_t chunks = selective_scan_chunks(time, state);
    return {.in = inputs(),
            .h = {h.data(), {batch, channels, state}},
            .y = {y.data(), {batch, time, channels}},
            .states = {states.data(), {batch, chunks, state, channels}}};
  }

  SelectiveScanGradArgs<T> grad_args() {
    const auto [batch, time, channels, groups, state] = size;
    const int64_t chunks = selective_scan_chunks(time, state);
    SelectiveScanGradArgs<T> grad{.in = inputs(),
                                  .states = {states.data(), {batch, chunks, state, channels}},
                                  .dy = {dy.data(), {batch, time, channels}},
                                  .dh = {dh.data(), {batch, channels, state}},
                                  .du = {du.data(), {batch, time, channels}},
                                  .ddt = {ddt.data(), {batch, time, channels}},
                                  .dA = {dA.data(), {channels, state}},
                                  .dB = {dB.data(), {batch, time, groups, state}},
                                  .dC = {dC.data(), {batch, time, groups, state}},
                                  .dD = {},
                                  .ddt_bias = {},
                                  .dz = {},
                                  .dh0 = {dh0.data(), {batch, channels, state}}};
    if (all()) {
      grad.dD = {dD.data(), {channels}};
      grad.ddt_bias = {ddt_bias.data(), {channels}};
      grad.dz = {dz.data(), {batch, time, channels}};
    }
    return grad;
  }

  SelectiveScanSize scratch() const { return {size.batch, size.channels, size.groups, size.state}; }
  void run(const SelectiveScanArgs<T>& args) {
    Workspace workspace(selective_scan_workspace_bytes(scratch()));
    selective_scan(args, workspace);
  }
  void run(const SelectiveScanGradArgs<T>& args) {
    Workspace workspace(selective_scan_backward_workspace_bytes(scratch()));
    selective_scan_backward(args, workspace);
  }
  void forward() { run(args()); }
  /// The scan, which leaves the states, and then its gradients.
  void both() {
    forward();
    run(grad_args());
  }

  /// The gradients that this variant computes, with their names.
  std::vector<std::pair<std::string, const std::vector<T>*>> gradients() const {
    std::vector<std::pair<std::string, const std::vector<T>*>> list = {
        {"du", &du}, {"ddt", &ddt}, {"dA", &dA}, {"dB", &dB}, {"dC", &dC}, {"dh0", &dh0}};
    if (all()) {
      list.insert(list.end(), {{"dD", &dD}, {"ddt_bias", &ddt_bias}, {"dz", &dz}});
    }
    return list;
  }

  SelectiveSize size;
  SelectiveVariant variant;
  Random random;
  std::vector<T> u, dt, A, B, C, D, dt_bias, z, h, y, states;
  std::vector<T> dy, dh, du, ddt, dA, dB, dC, dD, ddt_bias, dz, dh0;
  std::vector<uint8_t> starts;
};

/// A state collects about 50 inputs, an output as many states as there are.
inline int64_t output_terms(const SelectiveSize& size) { return 50 * (size.state + 1); }

/// Gradients are sums over states and over time, sequences or channels.
inline int64_t gradient_terms(const SelectiveSize& size) {
  return output_terms(size) + size.batch * size.time + size.channels;
}

}  // namespace longwave::ops::testing
