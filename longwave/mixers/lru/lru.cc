// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lru/lru.h"

#include <cmath>
#include <complex>
#include <numbers>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/diagonal/diagonal_mimo.h"
#include "longwave/theory/phi.h"

namespace longwave::mixers::lru {
namespace {

/// The three logarithms of each mode in a row of their own: nu, theta, gamma. One parameter, since
/// gamma starts from the nu that was drawn.
auto init_Lambda_log(const Options& options, int64_t modes) {
  const double r_min = options.real("r_min"), r_max = options.real("r_max");
  const double max_phase = options.real("max_phase");
  return [=](std::span<float> out, Random& random) {
    // Uniform on (0, 1): neither end has a logarithm in all of the formulas.
    const auto open = [&] { return random.uniform() + 0x1p-54; };
    for (int64_t n = 0; n < modes; ++n) {
      const double square = open() * (r_max * r_max - r_min * r_min) + r_min * r_min;
      const auto at = [&](int64_t row) -> float& {
        return out[static_cast<size_t>(row * modes + n)];
      };
      at(0) = static_cast<float>(std::log(-0.5 * std::log(square)));
      at(1) = static_cast<float>(std::log(max_phase * open()));
      at(2) = static_cast<float>(0.5 * std::log1p(-square));
    }
  };
}

}  // namespace

Schema schema() {
  return {
      {"state", int64_t{64}, "complex modes N, no conjugate pairs implied", 1, 65536},
      {"r_min", 0.9, "smallest initial modulus of a pole", 0, 1},
      {"r_max", 0.999, "largest initial modulus of a pole; 1 - r_max is about 1 / memory", 0, 1},
      {"max_phase", 2 * std::numbers::pi, "largest initial angle of a pole, in radians a step",
       1e-9, 2 * std::numbers::pi},
  };
}

ParameterTable parameters(const Options& options, int64_t channels) {
  const int64_t modes = options.integer("state");
  if (!(options.real("r_min") < options.real("r_max"))) {
    throw ConfigError(
        {.where = "lru",
         .what = "r_min must be less than r_max",
         .got = to_string(options.at("r_min")) + " and " + to_string(options.at("r_max")),
         .fix = "poles start on the ring between them: 0.9 and 0.999 are usual"});
  }
  const double input = std::sqrt(0.5 / static_cast<double>(channels));
  const double output = std::sqrt(1.0 / static_cast<double>(modes));
  return {
      {"Lambda_log", {3, modes}, ParameterGroup::kSsm, init_Lambda_log(options, modes)},
      {"B", {modes, channels, 2}, ParameterGroup::kSsm, normal_init(0, input)},
      {"C", {channels, modes, 2}, ParameterGroup::kMain, normal_init(0, output)},
      {"D", {channels}, ParameterGroup::kMain, normal_init(0, 1)},
  };
}

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  const int64_t modes = options.integer("state");
  const auto Lambda_log = weights.view<2>("Lambda_log", {3, modes});
  const auto B = weights.view<3>("B", {modes, channels, 2});
  const auto C = weights.view<3>("C", {channels, modes, 2});
  const auto D = weights.view<1>("D", {channels});
  MimoFactors factors;
  factors.channels = channels;
  factors.modes = modes;
  for (int64_t n = 0; n < modes; ++n) {
    const auto exp = [&](int64_t row) { return std::exp(static_cast<double>(Lambda_log(row, n))); };
    const std::complex<double> log_pole(-exp(0), exp(1));
    std::complex<double> gain = exp(2);
    // An input held for `rate` steps: 1 + a + ... + a^(rate-1), continued to any rate.
    if (rate != 1) {
      gain *= theory::complex_expm1(rate * log_pole) / theory::complex_expm1(log_pole);
    }
    factors.a.push_back(std::exp(rate * log_pole));
    for (int64_t i = 0; i < channels; ++i) {
      factors.B.push_back(gain * std::complex<double>(B(n, i, 0), B(n, i, 1)));
    }
  }
  for (int64_t i = 0; i < channels; ++i) {
    for (int64_t n = 0; n < modes; ++n) factors.C.emplace_back(C(i, n, 0), C(i, n, 1));
    factors.D.push_back(D(i));
  }
  return std::make_unique<DiagonalMimo>(std::move(factors));
}

}  // namespace longwave::mixers::lru
