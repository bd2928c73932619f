// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "longwave/base/error.h"
#include "longwave/base/options.h"

namespace longwave::mixers {

/// What S4 and S4D ask of their options: conjugate pairs, shared copies, an ordered range of dt.
///
/// Errors     ConfigError naming the family `where`.
inline void check_siso_options(const char* where, const Options& options, int64_t channels,
                               int64_t copies) {
  if (options.integer("state") % 2 != 0) {
    throw ConfigError({.where = where,
                       .what = "state must be even: it counts the two halves of conjugate pairs",
                       .got = std::to_string(options.integer("state")),
                       .fix = "add or take 1"});
  }
  if (channels % copies != 0) {
    throw ConfigError(
        {.where = where,
         .what = "copies must divide the number of channels",
         .got = std::to_string(copies) + " copies, " + std::to_string(channels) + " channels",
         .fix = "set copies to 0 for one a channel"});
  }
  if (options.real("dt_min") > options.real("dt_max")) {
    throw ConfigError(
        {.where = where, .what = "dt_min must not exceed dt_max", .got = {}, .fix = "swap them"});
  }
}

/// Families born in discrete time have no step size that `rate` could multiply.
///
/// Errors     ConfigError naming the family `where` unless rate is 1.
inline void check_no_rate(const char* where, double rate) {
  if (rate == 1) return;
  throw ConfigError({.where = where,
                     .what = "this family has no step size: it runs at its own rate only",
                     .got = "rate " + std::to_string(rate),
                     .fix = "resample the data, or use a family with a step size"});
}

}  // namespace longwave::mixers
