// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/base/philox.h"

namespace longwave::data {

/// A band-limited white signal: equal power at every frequency up to a limit, none above.
struct WhiteSignal {
  int64_t length = 4000;    ///< samples, one period
  double dt = 2.5e-4;       ///< seconds between samples
  double frequency = 1000;  ///< highest frequency in Hz, at most 1 / (2 dt)
  double rms = 0.5;         ///< root mean square before the start is moved to 0
};

/// One random signal that starts at 0.
///
///   x[t] = sum_{k=1}^{K} a_k cos(2 pi k t / length) + b_k sin(2 pi k t / length),  y[t] = x[t] -
///   x[0] a_k, b_k ~ normal(0, rms^2 / K),  K = floor(frequency length dt)
///
/// Cost       one complex FFT of `length`; prefer lengths with small factors.
/// Errors     ConfigError if K < 1 or the frequency is above 1 / (2 dt).
std::vector<float> white_signal(const WhiteSignal& signal, Random& random);

/// The options `length`, `dt`, `frequency` and `rms`, and their values.
Schema white_signal_schema();
WhiteSignal white_signal_of(const Options& options);

}  // namespace longwave::data
