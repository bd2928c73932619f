// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"
#include "longwave/mixers/mixer.h"
#include "longwave/mixers/registry.h"

namespace longwave::mixers::testing {

using longwave::testing::Tolerance;
using longwave::testing::Worst;

/// One layer that the laws are tried on: a family, overrides of its options, a size.
struct MixerCase {
  std::string name;                   ///< of the test: letters and digits
  std::string family;                 ///< as in the registry
  std::vector<std::string> settings;  ///< "state=8", ...
  int64_t channels = 1;
  /// How much more than the entries of |A| |x| + |B| |u| a step may round: the intermediate values
  /// of families that do not multiply by A directly (S4's low-rank step) are larger.
  double intermediate = 1;

  const Family& of() const { return mixers::family(family); }
  Options options() const {
    Options options(of().schema());
    for (const std::string& setting : settings) options.assign(setting, "test");
    return options;
  }
  ParameterTable table() const { return of().parameters(options(), channels); }
  Weights weights(uint64_t seed) const { return initialise(table(), seed); }
  std::unique_ptr<Mixer> make(uint64_t seed, double rate = 1) const {
    return of().make(options(), channels, weights(seed), rate);
  }
};

/// Those of the cases whose mixers stream.
inline std::vector<MixerCase> causal(std::span<const MixerCase> cases) {
  std::vector<MixerCase> result;
  for (const MixerCase& one : cases) {
    if (one.make(1)->causal()) result.push_back(one);
  }
  return result;
}

inline std::string case_name(const ::testing::TestParamInfo<MixerCase>& info) {
  return info.param.name;
}

inline void PrintTo(const MixerCase& test_case, std::ostream* out) { *out << test_case.name; }

/// Numbers that own their memory, with room between rows where asked for.
template <int Rank>
struct Numbers {
  std::vector<float> values;
  View<float, Rank> view;

  /// Filled with NaN, so that what nobody writes is seen.
  explicit Numbers(const std::array<int64_t, Rank>& extents) {
    view = View<float, Rank>(nullptr, extents);
    values.assign(static_cast<size_t>(view.size()), std::numeric_limits<float>::quiet_NaN());
    view = View<float, Rank>(values.data(), extents);
  }
  Numbers(const Numbers& other) : values(other.values), view(values.data(), other.view.extents()) {}
  Numbers& operator=(const Numbers&) = delete;

  Numbers& fill(float value) {
    std::ranges::fill(values, value);
    return *this;
  }
  Numbers& randomise(uint64_t seed) {
    Random random(seed, stream_id("numbers"));
    for (float& value : values) value = static_cast<float>(random.uniform(-1, 1));
    return *this;
  }
};

inline double largest(const std::vector<float>& values) {
  double most = 0;
  for (float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

/// What two exact orders of the same float arithmetic may differ by, for a mixer of any kind.
inline Tolerance rounding(const Mixer& mixer, int64_t time, const std::vector<float>& expected) {
  const int64_t terms = (time + 1) * (mixer.state_size() + mixer.channels());
  return Tolerance::sum<float>(terms, largest(expected) + 1);
}

/// Every number within the tolerance that `expected` has.
inline ::testing::AssertionResult close(const char* what, const Mixer& mixer, int64_t time,
                                        const std::vector<float>& expected,
                                        const std::vector<float>& got) {
  if (expected.size() != got.size()) return ::testing::AssertionFailure() << what << ": sizes";
  if (expected.empty()) return ::testing::AssertionSuccess();
  Worst worst(what);
  const Tolerance tolerance = rounding(mixer, time, expected);
  for (size_t i = 0; i < expected.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], tolerance);
  }
  return worst.ok();
}

/// A mixer with input, state before, output and state after.
struct Trial {
  Numbers<3> u, y;
  Numbers<2> state;

  /// Random input and state; the output is poisoned.
  Trial(const Mixer& mixer, int64_t batch, int64_t time, uint64_t seed)
      : u({batch, time, mixer.channels()}),
        y({batch, time, mixer.channels()}),
        state({batch, mixer.state_size()}) {
    u.randomise(seed);
    state.randomise(seed + 1);
  }

  void prefill(const Mixer& mixer) { prefill(mixer, 0, u.view.extent(1)); }

  /// Steps [begin, begin + count) only.
  void prefill(const Mixer& mixer, int64_t begin, int64_t count) {
    Workspace workspace(mixer.workspace_bytes(u.view.extent(0), count));
    mixer.prefill({.u = u.view.slice(1, begin, count),
                   .state = state.view,
                   .y = y.view.slice(1, begin, count)},
                  workspace);
  }

  void steps(const Mixer& mixer) {
    Workspace workspace(mixer.workspace_bytes(u.view.extent(0), 1));
    for (int64_t t = 0; t < u.view.extent(1); ++t) mixer.step(step_args(t), workspace);
  }

  Mixer::Step step_args(int64_t t) {
    const int64_t batch = u.view.extent(0), channels = u.view.extent(2);
    const std::array<int64_t, 2> extents = {batch, channels};
    const std::array<int64_t, 2> strides = {u.view.stride(0), u.view.stride(2)};
    return {.u = {u.view.data() + t * u.view.stride(1), extents, strides},
            .state = state.view,
            .y = {y.view.data() + t * y.view.stride(1), extents, strides}};
  }
};

}  // namespace longwave::mixers::testing
