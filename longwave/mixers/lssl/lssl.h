// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer.h"
#include "longwave/mixers/registry.h"

namespace longwave::mixers::lssl {

/// LSSL: one state space model with a full HiPPO matrix a channel. README.md has the equations.
Schema schema();

/// Errors     ConfigError if the options contradict each other.
ParameterTable parameters(const Options& options, int64_t channels);

/// Errors     DataError if a weight is missing or misshapen; ConfigError as `parameters`.
std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate);

inline constexpr Family kFamily = {"lssl", "linear state space layer with a full HiPPO matrix",
                                   schema, parameters, make};

}  // namespace longwave::mixers::lssl
