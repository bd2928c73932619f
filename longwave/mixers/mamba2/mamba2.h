// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer.h"
#include "longwave/mixers/registry.h"
#include "longwave/ops/gated_norm/gated_norm.h"
#include "longwave/ops/ssd/ssd.h"

namespace longwave::mixers::mamba2 {

/// Mamba-2: state space duality between two projections. README.md has the equations.
Schema schema();

/// Errors     ConfigError if the options contradict each other or the number of channels.
ParameterTable parameters(const Options& options, int64_t channels);

/// Errors     DataError if a weight is missing or misshapen; ConfigError as `parameters`.
std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate);

/// What the options say about shapes and semantics; the torch form asks the same.
struct Settings {
  int64_t channels;
  int64_t inner;     ///< channels of the scan
  int64_t head_dim;  ///< of them in a head
  int64_t heads;
  int64_t groups;  ///< of heads that share B and C
  int64_t state;   ///< numbers a channel of the scan
  int64_t width;   ///< taps of the convolution
  bool conv_bias, bias, skip_per_channel;
  bool has_norm;
  int64_t norm_groups;
  ops::GateOrder order;
  float norm_epsilon;
  double dt_least, dt_most;  ///< bounds of step sizes

  /// Fixed factors on the input, the parts of its projection, and the outcome.
  struct PartMultipliers {
    double in, z, x, B, C, dt, out;
  };
  PartMultipliers multipliers;

  Settings(const Options& options, int64_t channel_count);

  /// x, B and C of a step, side by side: what the convolution sees.
  int64_t convolved() const { return inner + 2 * groups * state; }
  /// z, x, B, C and dt of a step, side by side.
  int64_t projected() const { return inner + convolved() + heads; }
  /// Numbers of a state row: the inputs that the convolution remembers, then the scan's state.
  int64_t history_size() const { return (width - 1) * convolved(); }
  int64_t state_size() const { return history_size() + inner * state; }
};

inline constexpr Family kFamily = {"mamba2", "state space duality, one decay a head (Mamba-2)",
                                   schema, parameters, make};

}  // namespace longwave::mixers::mamba2
