// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer.h"
#include "longwave/mixers/registry.h"

namespace longwave::mixers::mamba {

/// Mamba: a selective scan between two projections. README.md has the equations.
Schema schema();

/// Errors     ConfigError if the options contradict each other.
ParameterTable parameters(const Options& options, int64_t channels);

/// Errors     DataError if a weight is missing or misshapen; ConfigError as `parameters`.
std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate);

/// What the options say about shapes; the torch form asks the same.
struct Shapes {
  int64_t channels;
  int64_t inner;    ///< channels of the scan
  int64_t state;    ///< numbers a channel of it
  int64_t width;    ///< taps of the convolution
  int64_t dt_rank;  ///< channels that step sizes are made from
  bool conv_bias, bias;

  /// What happens to dt, B and C before they are used: nothing, or division by their root mean
  /// square, with weights of their own or without.
  enum class SelectionNorm : uint8_t { kNone, kPlain, kLearned };
  SelectionNorm selection_norm;
  float selection_epsilon;

  Shapes(const Options& options, int64_t channel_count);

  /// dt, B and C of a step, side by side.
  int64_t selections() const { return dt_rank + 2 * state; }
  /// Numbers of a state row: the inputs that the convolution remembers, then the scan's state.
  int64_t history_size() const { return (width - 1) * inner; }
  int64_t state_size() const { return history_size() + inner * state; }
};

inline constexpr Family kFamily = {"mamba", "selective state space model (Mamba)", schema,
                                   parameters, make};

}  // namespace longwave::mixers::mamba
