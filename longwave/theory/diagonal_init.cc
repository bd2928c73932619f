// SPDX-License-Identifier: Apache-2.0
#include "longwave/theory/diagonal_init.h"

#include <array>
#include <cmath>
#include <complex>
#include <numbers>

#include "longwave/base/error.h"
#include "longwave/theory/enum_names.h"
#include "longwave/theory/normal_form.h"

namespace longwave::theory {
namespace {

using Eigen::Index;
using Eigen::VectorXcd;
using Complex = std::complex<double>;

constexpr std::array<EnumName<DiagonalInit>, 5> kNames{{
    {DiagonalInit::kLegS, "legs"},
    {DiagonalInit::kInv, "inv"},
    {DiagonalInit::kLin, "lin"},
    {DiagonalInit::kReal, "real"},
    {DiagonalInit::kQuad, "quad"},
}};
constexpr std::span<const EnumName<DiagonalInit>> kTable(kNames);

Complex pole(DiagonalInit init, double n, double N) {
  constexpr double pi = std::numbers::pi;
  switch (init) {
    case DiagonalInit::kInv:
      return {-0.5, -N / pi * (N / (2 * n + 1) - 1)};
    case DiagonalInit::kLin:
      return {-0.5, -pi * n};
    case DiagonalInit::kReal:
      return {-(n + 1), 0};
    case DiagonalInit::kQuad:
      return {-0.5, -(2 * n + 1) * (2 * n + 1) / pi};
    case DiagonalInit::kLegS:
      break;
  }
  throw InvalidArgument({"diagonal_poles", "the initialisation has no formula per pole", "", ""});
}

}  // namespace

std::vector<std::string> diagonal_init_names() { return names_of(kTable); }

std::string_view name(DiagonalInit init) { return name_of(kTable, init); }

DiagonalInit diagonal_init(std::string_view name) {
  return value_of(kTable, name, "diagonal_init");
}

DiagonalPoles diagonal_poles(DiagonalInit init, int64_t modes) {
  require(modes >= 1, "diagonal_poles", "modes must be at least 1");
  if (init == DiagonalInit::kLegS) {
    NormalForm legs = normal_form(Hippo::kLegS, 2 * modes);
    return {std::move(legs.Lambda), std::move(legs.B)};
  }
  DiagonalPoles result{VectorXcd(modes), VectorXcd::Ones(modes)};
  for (Index n = 0; n < modes; ++n) {
    result.Lambda(n) = pole(init, static_cast<double>(n), 2 * static_cast<double>(modes));
  }
  return result;
}

VectorXcd dfout_poles(int64_t modes, double damping, int64_t channel, int64_t channels) {
  require(modes >= 1, "dfout_poles", "modes must be at least 1");
  require(damping >= 0, "dfout_poles", "damping must not be negative");
  require(channel >= 0 && channel < channels, "dfout_poles", "channel must lie in [0, channels)");
  const double shift = static_cast<double>(channel) / static_cast<double>(channels);
  VectorXcd poles(modes);
  for (Index n = 0; n < modes; ++n) {
    const double turn = (static_cast<double>(n) + shift) / (2 * static_cast<double>(modes));
    poles(n) = std::polar(std::exp(-damping / 2), -2 * std::numbers::pi * turn);
  }
  return poles;
}

}  // namespace longwave::theory
