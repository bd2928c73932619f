// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer.h"
#include "longwave/mixers/registry.h"

namespace longwave::mixers::cnn {

/// Causal convolution of all channels, a baseline. README.md has the equations.
Schema schema();

ParameterTable parameters(const Options& options, int64_t channels);

/// Errors     DataError if a weight is missing or misshapen; ConfigError if `rate` is not 1.
std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate);

inline constexpr Family kFamily = {"cnn", "causal convolution of all channels (CNN), a baseline",
                                   schema, parameters, make};

}  // namespace longwave::mixers::cnn
