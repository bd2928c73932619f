// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer.h"
#include "longwave/mixers/registry.h"

namespace longwave::mixers::dss {

/// DSS: diagonal state space model whose poles all channels share. README.md has the equations.
Schema schema();

/// Errors     ConfigError if the options contradict each other.
ParameterTable parameters(const Options& options, int64_t channels);

/// Errors     DataError if a weight is missing or misshapen; ConfigError as `parameters`.
std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate);

/// What the options say; the torch form asks the same.
struct Settings {
  int64_t channels, modes;
  int64_t steps;   ///< step sizes of a channel: 2 for one each of Re and Im
  int64_t length;  ///< of the softmax, or 0 for the exp kernel
  bool bidirectional;
  Settings(const Options& options, int64_t channels);
};

inline constexpr Family kFamily = {
    "dss", "diagonal state space model with poles shared by all channels (DSS)", schema, parameters,
    make};

}  // namespace longwave::mixers::dss
