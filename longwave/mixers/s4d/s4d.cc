// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s4d/s4d.h"

#include <cmath>
#include <complex>
#include <numbers>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/common_options.h"
#include "longwave/mixers/diagonal/diagonal_siso.h"
#include "longwave/mixers/option_checks.h"
#include "longwave/theory/diagonal_init.h"
#include "longwave/theory/discretize.h"

namespace longwave::mixers::s4d {
namespace {

constexpr double kHalfRoot = std::numbers::sqrt2 / 2;

bool is_dfout(const Options& options) { return options.text("init") == "dfout"; }

/// Continuous poles of every copy. DFouT places discrete poles: there dt starts at 1.
std::vector<std::complex<double>> initial_poles(const Options& options, const Shapes& shapes) {
  std::vector<std::complex<double>> poles;
  for (int64_t s = 0; s < shapes.copies; ++s) {
    if (is_dfout(options)) {
      const Eigen::VectorXcd a =
          theory::dfout_poles(shapes.modes, options.real("damping"), s, shapes.copies);
      for (const std::complex<double>& pole : a) poles.push_back(std::log(pole));
    } else {
      const auto init = theory::diagonal_init(options.text("init"));
      const Eigen::VectorXcd Lambda = theory::diagonal_poles(init, shapes.modes).Lambda;
      poles.insert(poles.end(), Lambda.begin(), Lambda.end());
    }
  }
  return poles;
}

auto init_from_poles(const Options& options, const Shapes& shapes,
                     double (*part)(std::complex<double>)) {
  return [options, shapes, part](std::span<float> out, Random&) {
    const auto poles = initial_poles(options, shapes);
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(part(poles[i]));
  };
}

void init_B(const Options& options, const Shapes& shapes, std::span<float> out) {
  Eigen::VectorXcd B = Eigen::VectorXcd::Ones(shapes.modes);
  if (options.text("B_init") == "hippo") {
    B = theory::diagonal_poles(theory::DiagonalInit::kLegS, shapes.modes).B;
  }
  for (size_t i = 0; i < out.size() / 2; ++i) {
    const std::complex<double> b = B[static_cast<int64_t>(i) % shapes.modes];
    out[2 * i] = static_cast<float>(b.real());
    out[2 * i + 1] = static_cast<float>(b.imag());
  }
}

void check(const Options& options, const Shapes& shapes) {
  check_siso_options("s4d", options, shapes.channels, shapes.copies);
  if (options.text("B_init") == "hippo" && options.text("init") != "legs") {
    throw ConfigError({.where = "s4d",
                       .what = "B_init = hippo belongs to init = legs",
                       .got = options.text("init"),
                       .fix = "set B_init = ones"});
  }
}

}  // namespace

Shapes::Shapes(const Options& options, int64_t channel_count)
    : channels(channel_count),
      modes(options.integer("state") / 2),
      copies(options.integer("copies") == 0 ? channel_count : options.integer("copies")) {
  check(options, *this);
}

Schema schema() {
  std::vector<std::string> inits = theory::diagonal_init_names();
  inits.push_back("dfout");
  return {
      {"state", int64_t{64}, "real state dimension N of a channel; N/2 conjugate pairs are kept", 2,
       65536},
      {.key = "init",
       .value = std::string("legs"),
       .help = "where the poles start",
       .choices = inits},
      {.key = "B_init",
       .value = std::string("ones"),
       .help = "where the input weights start; hippo needs init = legs",
       .choices = {"ones", "hippo"}},
      {"train_B", true, "whether the input weights are trained"},
      discretization_option(),
      least_step_option(),
      most_step_option(),
      {"damping", 1e-2, "init = dfout: decay of a pole over two steps, as -log(|a|^2)", 1e-9, 100},
      {"copies", int64_t{0}, "independent (A, B) shared among channels; 0 = one a channel", 0,
       1 << 20},
      bidirectional_option(),
  };
}

ParameterTable parameters(const Options& options, int64_t channels) {
  const Shapes shapes(options, channels);
  const Shape poles = {shapes.copies, shapes.modes};
  const Shape readout = {channels, shapes.modes, 2};
  const double dt_min = is_dfout(options) ? 1 : options.real("dt_min");
  const double dt_max = is_dfout(options) ? 1 : options.real("dt_max");
  const auto re = [](std::complex<double> pole) { return std::log(-pole.real()); };
  const auto im = [](std::complex<double> pole) { return pole.imag(); };
  const auto B = [options, shapes](std::span<float> out, Random&) { init_B(options, shapes, out); };
  ParameterTable table = {
      {"log_dt",
       {channels},
       ParameterGroup::kSsm,
       uniform_init(std::log(dt_min), std::log(dt_max))},
      {"A_log_re", poles, ParameterGroup::kSsm, init_from_poles(options, shapes, re)},
      {"A_im", poles, ParameterGroup::kSsm, init_from_poles(options, shapes, im)},
      {"B",
       {shapes.copies, shapes.modes, 2},
       options.flag("train_B") ? ParameterGroup::kSsm : ParameterGroup::kBuffer,
       B},
      {"C", readout, ParameterGroup::kMain, normal_init(0, kHalfRoot)},
  };
  if (options.flag("bidirectional")) {
    table.push_back({"C_back", readout, ParameterGroup::kMain, normal_init(0, kHalfRoot)});
  }
  table.push_back({"D", {channels}, ParameterGroup::kMain, normal_init(0, 1)});
  return table;
}

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  const Shapes shapes(options, channels);
  const int64_t modes = shapes.modes, copies = shapes.copies;
  const auto rule = theory::discretization(options.text("discretization"));
  const auto log_dt = weights.view<1>("log_dt", {channels});
  const auto A_log_re = weights.view<2>("A_log_re", {copies, modes});
  const auto A_im = weights.view<2>("A_im", {copies, modes});
  const auto B = weights.view<3>("B", {copies, modes, 2});
  const auto C = weights.view<3>("C", {channels, modes, 2});
  const auto D = weights.view<1>("D", {channels});
  const bool bidirectional = options.flag("bidirectional");
  const auto C_back = bidirectional ? weights.view<3>("C_back", {channels, modes, 2}) : C;

  SisoFactors factors;
  factors.channels = channels;
  factors.modes = modes;
  for (int64_t h = 0; h < channels; ++h) {
    const int64_t s = shapes.copy_of(h);
    const double dt = rate * std::exp(static_cast<double>(log_dt(h)));
    for (int64_t n = 0; n < modes; ++n) {
      const std::complex<double> A(-std::exp(static_cast<double>(A_log_re(s, n))), A_im(s, n));
      const theory::DiagonalStep step = theory::discretize(A, dt, rule);
      const std::complex<double> gain = step.gain * std::complex<double>(B(s, n, 0), B(s, n, 1));
      const auto folded = [&](const View<const float, 3>& readout) {
        return 2.0 * gain * std::complex<double>(readout(h, n, 0), readout(h, n, 1));
      };
      factors.a.push_back(step.a);
      factors.c.push_back(folded(C));
      if (bidirectional) factors.c_back.push_back(folded(C_back));
    }
    factors.D.push_back(D(h));
  }
  return std::make_unique<DiagonalSiso>(std::move(factors));
}

}  // namespace longwave::mixers::s4d
