// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s5/s5.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/mixers/common_options.h"
#include "longwave/mixers/diagonal/complex_rows.h"
#include "longwave/mixers/s5/s5_init.h"
#include "longwave/theory/discretize.h"

namespace longwave::mixers::s5 {
namespace {

void check(const Options& options, const Settings& settings) {
  const auto reject = [](std::string what, std::string got, std::string fix) {
    throw ConfigError(
        {.where = "s5", .what = std::move(what), .got = std::move(got), .fix = std::move(fix)});
  };
  const std::string sizes =
      "state " + std::to_string(settings.state) + ", blocks " + std::to_string(settings.blocks);
  if (settings.state % settings.blocks != 0) {
    reject("blocks must divide state", sizes, "set blocks = 1");
  }
  if (settings.state / settings.blocks % 2 != 0) {
    reject("a block must have an even size: its poles come in conjugate pairs", sizes,
           "make state / blocks even");
  }
  if (options.real("dt_min") > options.real("dt_max")) {
    reject("dt_min must not exceed dt_max", {}, "swap them");
  }
}

ReadoutInit readout_init(const Options& options) {
  const std::string& name = options.text("C_init");
  if (name == "lecun_normal") return ReadoutInit::kLecunNormal;
  if (name == "complex_normal") return ReadoutInit::kComplexNormal;
  return ReadoutInit::kTruncStandardNormal;
}

Continuous continuous(const Settings& settings, const Weights& weights, double rate) {
  const auto re = weights.view<1>("Lambda_re", {settings.modes});
  const auto im = weights.view<1>("Lambda_im", {settings.modes});
  const auto log_step = weights.view<1>("log_step", {settings.modes});
  Continuous result;
  for (int64_t n = 0; n < settings.modes; ++n) {
    const double real = settings.clip_eigs ? std::min<double>(re(n), kClippedRe) : re(n);
    result.Lambda.emplace_back(real, im(n));
    result.dt.push_back(rate * std::exp(static_cast<double>(log_step(n))));
  }
  return result;
}

std::vector<std::complex<double>> readout(const Settings& settings, const Weights& weights,
                                          const std::string& name) {
  const auto C = weights.view<3>(name, {settings.channels, settings.modes, 2});
  const double pairs = settings.conj_sym ? 2 : 1;
  std::vector<std::complex<double>> result;
  for (int64_t i = 0; i < settings.channels; ++i) {
    for (int64_t n = 0; n < settings.modes; ++n) {
      result.push_back(pairs * std::complex<double>(C(i, n, 0), C(i, n, 1)));
    }
  }
  return result;
}

}  // namespace

Settings::Settings(const Options& options, int64_t channel_count)
    : channels(channel_count),
      state(options.integer("state")),
      blocks(options.integer("blocks")),
      modes(options.flag("conj_sym") ? state / 2 : state),
      conj_sym(options.flag("conj_sym")),
      bilinear(options.text("discretization") == "bilinear"),
      clip_eigs(options.flag("clip_eigs")),
      bidirectional(options.flag("bidirectional")) {
  check(options, *this);
}

Schema schema() {
  return {
      {"state", int64_t{64}, "real state dimension P of the layer (ssm_size)", 2, 65536},
      {"blocks", int64_t{1}, "equal blocks J that start as a HiPPO matrix each", 1, 65536},
      {"conj_sym", true, "keep one pole of each conjugate pair: half the numbers"},
      {.key = "C_init",
       .value = std::string("trunc_standard_normal"),
       .help = "how the readout starts; names of the reference code",
       .choices = {"trunc_standard_normal", "lecun_normal", "complex_normal"}},
      discretization_option(),
      least_step_option(),
      most_step_option(),
      {"clip_eigs", true, "keep real parts of poles at or below -0.0001, so that states decay"},
      bidirectional_option(),
  };
}

ParameterTable parameters(const Options& options, int64_t channels) {
  const Settings settings(options, channels);
  const Shape readout = {channels, settings.modes, 2};
  const auto re = [](std::complex<double> pole) { return pole.real(); };
  const auto im = [](std::complex<double> pole) { return pole.imag(); };
  const Init C = init_C(settings, readout_init(options));
  ParameterTable table = {
      {"Lambda_re", {settings.modes}, ParameterGroup::kSsm, init_Lambda(settings, re)},
      {"Lambda_im", {settings.modes}, ParameterGroup::kSsm, init_Lambda(settings, im)},
      {"log_step",
       {settings.modes},
       ParameterGroup::kSsm,
       uniform_init(std::log(options.real("dt_min")), std::log(options.real("dt_max")))},
      {"B", {settings.modes, channels, 2}, ParameterGroup::kSsm, init_B(settings)},
      {"C", readout, ParameterGroup::kMain, C},
  };
  if (settings.bidirectional) table.push_back({"C_back", readout, ParameterGroup::kMain, C});
  table.push_back({"D", {channels}, ParameterGroup::kMain, normal_init(0, 1)});
  return table;
}

std::unique_ptr<S5> make_s5(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  const Settings settings(options, channels);
  const auto rule = theory::discretization(options.text("discretization"));
  Continuous poles = continuous(settings, weights, rate);
  const auto B = weights.view<3>("B", {settings.modes, channels, 2});
  const auto D = weights.view<1>("D", {channels});
  MimoFactors factors;
  factors.channels = channels;
  factors.modes = settings.modes;
  for (int64_t n = 0; n < settings.modes; ++n) {
    const auto mode = static_cast<size_t>(n);
    const theory::DiagonalStep step = theory::discretize(poles.Lambda[mode], poles.dt[mode], rule);
    factors.a.push_back(step.a);
    for (int64_t i = 0; i < channels; ++i) {
      factors.B.push_back(step.gain * std::complex<double>(B(n, i, 0), B(n, i, 1)));
    }
  }
  factors.C = readout(settings, weights, "C");
  if (settings.bidirectional) factors.C_back = readout(settings, weights, "C_back");
  for (int64_t i = 0; i < channels; ++i) factors.D.push_back(D(i));
  return std::make_unique<S5>(std::move(poles), rule, std::move(factors));
}

std::unique_ptr<Mixer> make(const Options& options, int64_t channels, const Weights& weights,
                            double rate) {
  return make_s5(options, channels, weights, rate);
}

S5::S5(Continuous continuous, theory::Discretization rule, MimoFactors factors)
    : DiagonalMimo(std::move(factors)), continuous_(std::move(continuous)), rule_(rule) {
  for (size_t n = 0; n < continuous_.dt.size(); ++n) {
    gain_.push_back(theory::discretize(continuous_.Lambda[n], continuous_.dt[n], rule).gain);
  }
}

void S5::discretize(View<const float, 2> intervals, View<Complex, 3> a,
                    View<Complex, 3> scale) const {
  const int64_t time = intervals.extent(1);
  parallel_for(intervals.size(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / time, t = i % time;
      for (int64_t n = 0; n < modes(); ++n) {
        const auto mode = static_cast<size_t>(n);
        const theory::DiagonalStep step = theory::discretize(
            continuous_.Lambda[mode], continuous_.dt[mode], rule_, intervals(b, t));
        a(b, t, n) = Complex(step.a);
        scale(b, t, n) = Complex(step.gain / gain_[mode]);
      }
    }
  });
}

size_t S5::irregular_workspace_bytes(int64_t batch, int64_t time) const {
  const int64_t numbers = batch * block_steps(batch, time) * modes();
  return workspace_bytes(batch, time) + 2 * Workspace::bytes_for<Complex>(numbers);
}

void S5::prefill_irregular(const Irregular& args, Workspace& workspace) const {
  mixers::check(*this, Prefill{.u = args.u, .state = args.state, .y = args.y}, "s5");
  require(causal(), "s5", "irregular sampling needs a layer that is not bidirectional");
  const int64_t batch = args.u.extent(0), time = args.u.extent(1);
  require(args.intervals.extent(0) == batch && args.intervals.extent(1) == time, "s5",
          "intervals must be (batch, time), one for each sample");
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t = 0; t < time; ++t) {
      require(args.intervals(b, t) > 0, "s5", "intervals between samples must be positive");
    }
  }
  const Workspace::Scope scope(workspace);
  const ComplexRows state(args.state, workspace);
  const int64_t steps = block_steps(batch, time);
  for (int64_t begin = 0; begin < time; begin += steps) {
    const Workspace::Scope inner(workspace);
    const int64_t count = std::min(steps, time - begin);
    const std::array<int64_t, 3> extents = {batch, count, modes()};
    const View<Complex, 3> a(workspace.take<Complex>(batch * count * modes()).data(), extents);
    const View<Complex, 3> scale(workspace.take<Complex>(batch * count * modes()).data(), extents);
    discretize(args.intervals.slice(1, begin, count), a, scale);
    run({.u = args.u.slice(1, begin, count),
         .a = a,
         .scale = scale,
         .h = state.view(),
         .y = args.y.slice(1, begin, count)},
        workspace);
  }
  state.store();
}

}  // namespace longwave::mixers::s5
