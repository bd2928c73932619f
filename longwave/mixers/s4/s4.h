// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer.h"
#include "longwave/mixers/registry.h"

namespace longwave::mixers::s4 {

/// S4: one diagonal-plus-low-rank state space model a channel. README.md has the equations.
Schema schema();

/// Errors     ConfigError if the options contradict each other or the number of channels.
ParameterTable parameters(const Options& options, int64_t channels);

/// Errors     DataError if a weight is missing or misshapen; ConfigError as `parameters`.
/// Cost       the readout is recovered from Ct: state^3 log2(length) a channel, on all threads.
std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate);

/// What the options say about shapes; the torch form asks the same.
struct Shapes {
  int64_t channels, modes, copies, rank;
  int64_t length;  ///< of the kernel that Ct belongs to
  Shapes(const Options& options, int64_t channels);

  /// The (A, P, B) that `channel` uses.
  int64_t copy_of(int64_t channel) const { return channel % copies; }
};

inline constexpr Family kFamily = {"s4", "diagonal plus low-rank state space model (S4)", schema,
                                   parameters, make};

}  // namespace longwave::mixers::s4
