// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/mixers/option_checks.h"
#include "longwave/mixers/s4/s4.h"
#include "longwave/mixers/s4/s4_system.h"
#include "longwave/theory/hippo.h"
#include "longwave/theory/normal_form.h"

namespace longwave::mixers::s4 {
namespace {

constexpr double kHalfRoot = std::numbers::sqrt2 / 2;
/// Real parts of poles start at most here: LegT, LagT and FouT have them on the imaginary axis,
/// which -exp(A_log_re) cannot reach.
constexpr double kLargestRealPart = -1e-4;

constexpr const char* kRandom = "random";

void check(const Options& options, const Shapes& shapes) {
  check_siso_options("s4", options, shapes.channels, shapes.copies);
}

using Init = std::function<void(std::span<float>, Random&)>;

/// Fills (copies, modes) from a real number a mode, the same for each copy.
template <typename Part>
Init from_modes(theory::Hippo kind, int64_t modes, Part part) {
  return [=](std::span<float> out, Random&) {
    const theory::NormalForm form = theory::normal_form(kind, 2 * modes);
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<float>(part(form, static_cast<int64_t>(i) % modes));
    }
  };
}

/// Fills (..., copies, modes, 2) from the columns of a matrix (modes, ...).
template <typename Part>
Init from_columns(theory::Hippo kind, const Shapes& shapes, Part part) {
  return [=](std::span<float> out, Random&) {
    const theory::NormalForm form = theory::normal_form(kind, 2 * shapes.modes);
    for (size_t i = 0; i < out.size() / 2; ++i) {
      const int64_t mode = static_cast<int64_t>(i) % shapes.modes;
      const int64_t column = static_cast<int64_t>(i) / (shapes.modes * shapes.copies);
      const std::complex<double> value = part(form, mode, column);
      out[2 * i] = static_cast<float>(value.real());
      out[2 * i + 1] = static_cast<float>(value.imag());
    }
  };
}

/// Turns readouts C into the Ct of the kernel's length, so that it is C that starts normal.
auto truncate_readout(const Shapes& shapes) {
  return [shapes](std::span<float> out, const Weights& layer) {
    const Parts parts(shapes, layer);
    const int64_t row = 2 * shapes.modes;
    parallel_for(shapes.channels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t h = begin; h < end; ++h) {
        const std::span<float> numbers = out.subspan(static_cast<size_t>(h * row), row);
        const theory::Dplr system = parts.system(h, complex_row(numbers));
        const Eigen::RowVectorXcd Ct = theory::truncated_output(system, parts.dt(h), shapes.length);
        for (int64_t n = 0; n < shapes.modes; ++n) {
          numbers[static_cast<size_t>(2 * n)] = static_cast<float>(Ct(n).real());
          numbers[static_cast<size_t>(2 * n + 1)] = static_cast<float>(Ct(n).imag());
        }
      }
    });
  };
}

/// What the parameters of a state start from.
struct Start {
  Init log_re, im, P, B;
};

Start hippo_start(theory::Hippo kind, const Shapes& shapes) {
  const auto log_re = [](const theory::NormalForm& form, int64_t n) {
    return std::log(-std::min(form.Lambda(n).real(), kLargestRealPart));
  };
  const auto im = [](const theory::NormalForm& form, int64_t n) { return form.Lambda(n).imag(); };
  const auto P = [](const theory::NormalForm& form, int64_t n, int64_t r) { return form.P(n, r); };
  const auto B = [](const theory::NormalForm& form, int64_t n, int64_t) { return form.B(n); };
  return {from_modes(kind, shapes.modes, log_re), from_modes(kind, shapes.modes, im),
          from_columns(kind, shapes, P), from_columns(kind, shapes, B)};
}

/// Fills from a random pole a mode. All parameters of a layer see the same poles: they are drawn
/// from a stream of the run's seed, not of the parameter.
template <typename Part>
Init from_random_poles(Part part) {
  return [=](std::span<float> out, Random& random) {
    Random poles(random.position().seed, stream_id("s4 random poles"));
    for (float& number : out) {
      const double radius = std::sqrt(poles.uniform()), angle = poles.uniform(0, std::numbers::pi);
      number = static_cast<float>(part(-1 + radius * std::cos(angle), radius * std::sin(angle)));
    }
  };
}

/// The counterpart that HiPPO is measured against: A = G / sqrt(N) - 1 with normal entries in G, in
/// the basis where it is diagonal. By the circular law its poles fill the unit disc around -1.
Start random_start() {
  return {from_random_poles(
              [](double re, double) { return std::log(-std::min(re, kLargestRealPart)); }),
          from_random_poles([](double, double im) { return im; }), constant_init(0),
          normal_init(0, kHalfRoot)};
}

Start start_of(const Options& options, const Shapes& shapes) {
  const std::string& init = options.text("init");
  return init == kRandom ? random_start() : hippo_start(theory::hippo(init), shapes);
}

Schema shape_options() {
  return {
      {.key = "state",
       .value = int64_t{64},
       .help = "real state dimension N of a channel; N/2 conjugate pairs are kept",
       .least = 2,
       .most = 4096},
      {.key = "length",
       .value = int64_t{1024},
       .help =
           "steps of the training kernel, best a power of two and no less than the data; longer "
           "sequences are trained in chunks, which is slower. Saved with the model",
       .least = 1,
       .most = 1 << 24},
      {.key = "copies",
       .value = int64_t{0},
       .help = "independent (A, P, B) shared among channels; 0 = one a channel",
       .least = 0,
       .most = 1 << 20},
      {.key = "bidirectional",
       .value = false,
       .help = "also look at later inputs; such a layer cannot stream"},
  };
}

std::vector<std::string> init_names() {
  std::vector<std::string> names = theory::hippo_names();
  names.emplace_back(kRandom);
  return names;
}

}  // namespace

Shapes::Shapes(const Options& options, int64_t channel_count)
    : channels(channel_count),
      modes(options.integer("state") / 2),
      copies(options.integer("copies") == 0 ? channel_count : options.integer("copies")),
      rank(options.text("init") == "legt" ? 2 : 1),
      length(options.integer("length")) {
  check(options, *this);
}

Schema schema() {
  Schema schema = shape_options();
  schema.push_back({.key = "init",
                    .value = std::string("legs"),
                    .help = "the HiPPO matrix that A, P and B start from; random: none of them",
                    .choices = init_names()});
  schema.push_back(
      {.key = "dt_min",
       .value = 1e-3,
       .help = "smallest initial step size; 1/dt_min is the longest time scale in steps",
       .least = 1e-9,
       .most = 1e3});
  schema.push_back({.key = "dt_max",
                    .value = 1e-1,
                    .help = "largest initial step size",
                    .least = 1e-9,
                    .most = 1e3});
  return schema;
}

ParameterTable parameters(const Options& options, int64_t channels) {
  const Shapes shapes(options, channels);
  const Start start = start_of(options, shapes);
  const Shape poles = {shapes.copies, shapes.modes};
  const Shape readout = {channels, shapes.modes, 2};
  const double log_min = std::log(options.real("dt_min")),
               log_max = std::log(options.real("dt_max"));
  constexpr auto kSsm = ParameterGroup::kSsm;
  ParameterTable table = {
      {"log_dt", {channels}, kSsm, uniform_init(log_min, log_max)},
      {"A_log_re", poles, kSsm, start.log_re},
      {"A_im", poles, kSsm, start.im},
      {"P", {shapes.rank, shapes.copies, shapes.modes, 2}, kSsm, start.P},
      {"B", {shapes.copies, shapes.modes, 2}, kSsm, start.B},
  };
  const auto push_readout = [&](const char* name) {
    table.push_back({.name = name,
                     .shape = readout,
                     .group = ParameterGroup::kMain,
                     .init = normal_init(0, kHalfRoot),
                     .adjust = truncate_readout(shapes)});
  };
  push_readout("Ct");
  if (options.flag("bidirectional")) push_readout("Ct_back");
  table.push_back({"D", {channels}, ParameterGroup::kMain, normal_init(0, 1)});
  return table;
}

}  // namespace longwave::mixers::s4
