// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/dss/dss.h"

#include <cmath>
#include <complex>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/common_options.h"
#include "longwave/mixers/diagonal/diagonal_siso.h"
#include "longwave/theory/diagonal_init.h"
#include "longwave/theory/phi.h"

namespace longwave::mixers::dss {
namespace {

void check(const Options& options, const Settings& settings) {
  if (options.text("kernel") == "softmax" && settings.length == 0) {
    throw ConfigError({.where = "dss",
                       .what = "kernel = softmax normalises over a length that must be declared",
                       .got = "length = 0",
                       .fix = "set length to that of the training sequences, or kernel = exp"});
  }
  if (options.real("dt_min") > options.real("dt_max")) {
    throw ConfigError(
        {.where = "dss", .what = "dt_min must not exceed dt_max", .got = {}, .fix = "swap them"});
  }
}

auto init_poles(int64_t modes, double (*part)(std::complex<double>)) {
  return [modes, part](std::span<float> out, Random&) {
    const auto poles = theory::diagonal_poles(theory::DiagonalInit::kLegS, modes).Lambda;
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<float>(part(poles[static_cast<int64_t>(i)]));
    }
  };
}

/// One draw a channel, the same for the steps of Re and Im.
auto init_log_dt(const Options& options, int64_t steps) {
  const double low = std::log(options.real("dt_min")), high = std::log(options.real("dt_max"));
  return [steps, low, high](std::span<float> out, Random& random) {
    for (size_t i = 0; i < out.size(); ++i) {
      const bool repeats = static_cast<int64_t>(i) % steps != 0;
      out[i] = repeats ? out[i - 1] : static_cast<float>(random.uniform(low, high));
    }
  };
}

}  // namespace

Settings::Settings(const Options& options, int64_t channel_count)
    : channels(channel_count),
      modes(options.integer("state")),
      steps(options.flag("sep_dt_re_im") ? 2 : 1),
      length(options.text("kernel") == "softmax" ? options.integer("length") : 0),
      bidirectional(options.flag("bidirectional")) {
  check(options, *this);
}

Schema schema() {
  return {
      {"state", int64_t{64}, "complex modes N of a channel, no conjugate pairs implied", 1, 65536},
      {.key = "kernel",
       .value = std::string("exp"),
       .help = "exp: the plain system; softmax: divided by its sum over a declared length",
       .choices = {"exp", "softmax"}},
      {"length", int64_t{0}, "kernel = softmax: steps that the softmax runs over", 0,
       int64_t{1} << 40},
      {"sep_dt_re_im", true, "separate step sizes for the real and imaginary parts of the poles"},
      least_step_option(),
      most_step_option(),
      bidirectional_option(),
  };
}

ParameterTable parameters(const Options& options, int64_t channels) {
  const Settings settings(options, channels);
  const Shape readout = {channels, settings.modes, 2};
  const auto re = [](std::complex<double> pole) { return std::log(-pole.real()); };
  const auto im = [](std::complex<double> pole) { return pole.imag(); };
  ParameterTable table = {
      {"log_dt",
       {channels, settings.steps},
       ParameterGroup::kSsm,
       init_log_dt(options, settings.steps)},
      {"A_log_re", {settings.modes}, ParameterGroup::kSsm, init_poles(settings.modes, re)},
      {"A_im", {settings.modes}, ParameterGroup::kSsm, init_poles(settings.modes, im)},
      {"W", readout, ParameterGroup::kSsm, normal_init(0, 1)},
  };
  if (settings.bidirectional) {
    table.push_back({"W_back", readout, ParameterGroup::kSsm, normal_init(0, 1)});
  }
  table.push_back({"D", {channels}, ParameterGroup::kMain, normal_init(0, 1)});
  return table;
}

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  const Settings settings(options, channels);
  const int64_t modes = settings.modes;
  const auto log_dt = weights.view<2>("log_dt", {channels, settings.steps});
  const auto A_log_re = weights.view<1>("A_log_re", {modes});
  const auto A_im = weights.view<1>("A_im", {modes});
  const auto W = weights.view<3>("W", {channels, modes, 2});
  const auto D = weights.view<1>("D", {channels});
  const bool both = settings.bidirectional;
  const auto W_back = both ? weights.view<3>("W_back", {channels, modes, 2}) : W;

  SisoFactors factors;
  factors.channels = channels;
  factors.modes = modes;
  for (int64_t h = 0; h < channels; ++h) {
    const double dt_re = std::exp(static_cast<double>(log_dt(h, 0)));
    const double dt_im = std::exp(static_cast<double>(log_dt(h, settings.steps - 1)));
    for (int64_t n = 0; n < modes; ++n) {
      const std::complex<double> A(-std::exp(static_cast<double>(A_log_re(n))), A_im(n));
      const std::complex<double> z(dt_re * A.real(), dt_im * A.imag());
      std::complex<double> gain = theory::complex_expm1(rate * z) / A;
      // The softmax covers the same stretch of time at any rate.
      if (settings.length > 0) {
        gain /= theory::complex_expm1(static_cast<double>(settings.length) * z);
      }
      factors.a.push_back(std::exp(rate * z));
      factors.c.push_back(gain * std::complex<double>(W(h, n, 0), W(h, n, 1)));
      if (both) {
        factors.c_back.push_back(gain * std::complex<double>(W_back(h, n, 0), W_back(h, n, 1)));
      }
    }
    factors.D.push_back(D(h));
  }
  return std::make_unique<DiagonalSiso>(std::move(factors));
}

}  // namespace longwave::mixers::dss
