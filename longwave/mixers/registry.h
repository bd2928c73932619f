// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/mixers/mixer.h"

namespace longwave::mixers {

/// Everything that the rest of the program needs to know of a family.
struct Family {
  std::string_view name;     ///< as written in a recipe: "s4d"
  std::string_view summary;  ///< one line, for help and documentation

  /// The family's options; in a recipe they stand in a section of the family's name.
  Schema (*schema)();

  /// The parameters of a layer with these options.
  ParameterTable (*parameters)(const Options& options, int64_t channels);

  /// The layer; `rate` multiplies every step size (2 = data sampled half as often).
  std::unique_ptr<Mixer> (*make)(const Options& options, int64_t channels, const Weights& weights,
                                 double rate);
};

/// All families in the order of the ladder.
std::span<const Family> families();

/// The family called `name`; ConfigError with the nearest name if there is none.
const Family& family(std::string_view name);

}  // namespace longwave::mixers
