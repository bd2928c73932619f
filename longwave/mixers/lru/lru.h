// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer.h"
#include "longwave/mixers/registry.h"

namespace longwave::mixers::lru {

/// LRU: linear recurrent unit, born in discrete time. README.md has the equations.
Schema schema();

/// Errors     ConfigError if the options contradict each other.
ParameterTable parameters(const Options& options, int64_t channels);

/// Errors     DataError if a weight is missing or misshapen.
std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate);

inline constexpr Family kFamily = {"lru", "linear recurrent unit, one for all channels (LRU)",
                                   schema, parameters, make};

}  // namespace longwave::mixers::lru
