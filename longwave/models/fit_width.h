// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/models/sequence_model.h"

namespace longwave::models {

/// Numbers of a table that are trained: all but buffers.
int64_t trained_count(const ParameterTable& table);

/// A model as wide as a budget of parameters allows.
struct FittedWidth {
  Config config;
  int64_t parameters = 0;  ///< trained ones

  /// How far the parameters are off the budget: 0.02 is 2 % more.
  double deviation(int64_t budget) const {
    return static_cast<double>(parameters) / static_cast<double>(budget) - 1;
  }
};

/// The multiple of 8 for model.d_model whose number of trained parameters is nearest to `budget`.
///
/// Widths that a family refuses (heads that do not divide them) are passed over. How near the
/// outcome is depends on the steps between widths: ask `deviation`.
///
/// Errors     ConfigError if no width up to 8192 is accepted; it says why the first was not.
/// Cost       parameter tables only; no weights are made.
FittedWidth fit_width(const Config& config, int64_t budget);

}  // namespace longwave::models
