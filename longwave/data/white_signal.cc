// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/white_signal.h"

#include <cmath>
#include <complex>
#include <string>
#include <unsupported/Eigen/FFT>

#include "longwave/data/generated.h"

namespace longwave::data {
namespace {

/// Periods of the highest frequency in the signal, with room for rounding.
int64_t highest_harmonic(const WhiteSignal& signal) {
  constexpr double kRounding = 1e-9;
  const double periods = signal.frequency * static_cast<double>(signal.length) * signal.dt;
  return static_cast<int64_t>(std::floor(periods * (1 + kRounding)));
}

}  // namespace

std::vector<float> white_signal(const WhiteSignal& signal, Random& random) {
  const int64_t harmonics = highest_harmonic(signal);
  std::vector<std::complex<double>> spectrum(static_cast<size_t>(signal.length)), samples;
  const double deviation = signal.rms / std::sqrt(static_cast<double>(harmonics));
  for (int64_t k = 1; k <= harmonics; ++k) {
    const double a = deviation * random.normal();
    const double b = deviation * random.normal();
    spectrum[k] = {a, -b};
  }
  Eigen::FFT<double> fft;
  fft.SetFlag(Eigen::FFT<double>::Unscaled);
  fft.inv(samples, spectrum);
  std::vector<float> result(samples.size());
  for (size_t t = 0; t < samples.size(); ++t) {
    result[t] = static_cast<float>(samples[t].real() - samples[0].real());
  }
  return result;
}

Schema white_signal_schema() {
  const WhiteSignal usual;
  constexpr double kTiny = 1e-12;
  return {{.key = "length",
           .value = usual.length,
           .help = "samples of a signal",
           .least = 2,
           .most = 1e8},
          {.key = "dt", .value = usual.dt, .help = "seconds between samples", .least = kTiny},
          {.key = "frequency",
           .value = usual.frequency,
           .help = "highest frequency in Hz, at most 1 / (2 dt)",
           .least = kTiny},
          {.key = "rms", .value = usual.rms, .help = "root mean square of the signal", .least = 0}};
}

WhiteSignal white_signal_of(const Options& options) {
  const WhiteSignal signal = {.length = options.integer("length"),
                              .dt = options.real("dt"),
                              .frequency = options.real("frequency"),
                              .rms = options.real("rms")};
  const double nyquist = 0.5 / signal.dt;
  require_option(signal.frequency <= nyquist, "white signal",
                 "frequency must be at most 1 / (2 dt) = " + to_string(nyquist),
                 to_string(signal.frequency));
  require_option(highest_harmonic(signal) >= 1, "white signal",
                 "frequency * length * dt must be at least 1: one period in the signal",
                 to_string(signal.frequency * static_cast<double>(signal.length) * signal.dt));
  return signal;
}

}  // namespace longwave::data
