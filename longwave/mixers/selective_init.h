// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>

#include "longwave/base/error.h"
#include "longwave/base/options.h"
#include "longwave/base/philox.h"
#include "longwave/mixers/common_options.h"

namespace longwave::mixers {

/// Options of the families whose step size is softplus(... + bias): where that starts.
inline Schema step_size_options() {
  return {
      least_step_option(),
      most_step_option(),
      {"dt_floor", 1e-4, "initial step sizes below this are raised to it", 1e-9, 1e3},
  };
}

/// x with softplus(x) = y > 0, exact for small y too: y + log(1 - e^-y).
inline double softplus_inverse(double y) { return y + std::log(-std::expm1(-y)); }

/// Biases whose softplus is log-uniform on [dt_min, dt_max], at least dt_floor.
///
/// Source     Gu & Dao 2023, arXiv:2312.00752, section 3.6.
/// Errors     ConfigError naming `where` if dt_min exceeds dt_max.
inline std::function<void(std::span<float>, Random&)> step_size_bias_init(const char* where,
                                                                          const Options& options) {
  const double least = options.real("dt_min"), most = options.real("dt_max");
  const double floor = options.real("dt_floor");
  if (least > most) {
    throw ConfigError(
        {.where = where, .what = "dt_min must not exceed dt_max", .got = {}, .fix = "swap them"});
  }
  return [=](std::span<float> out, Random& random) {
    for (float& bias : out) {
      const double dt = std::exp(random.uniform(std::log(least), std::log(most)));
      bias = static_cast<float>(softplus_inverse(std::max(dt, floor)));
    }
  };
}

}  // namespace longwave::mixers
