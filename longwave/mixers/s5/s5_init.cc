// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/s5/s5_init.h"

#include <Eigen/Core>
#include <cmath>
#include <numbers>

#include "longwave/theory/normal_form.h"

namespace longwave::mixers::s5 {
namespace {

/// Eigenvalues and eigenvectors of one block: half of each with conj_sym, else all.
struct Basis {
  Eigen::VectorXcd Lambda;  // (kept)
  Eigen::MatrixXcd V;       // (block, kept)
};

Basis basis_of(const Settings& settings) {
  const int64_t size = settings.state / settings.blocks;
  const theory::NormalForm form = theory::normal_form(theory::Hippo::kLegS, size);
  if (settings.conj_sym) return {form.Lambda, form.V};
  Basis all = {Eigen::VectorXcd(size), Eigen::MatrixXcd(size, size)};
  all.Lambda << form.Lambda, form.Lambda.conjugate();
  all.V << form.V, form.V.conjugate();
  return all;
}

/// Normal cut off at two deviations and scaled back to variance 1, as LeCun's initialiser has it.
double truncated_normal(Random& random) {
  constexpr double kDeviationLeft = 0.87962566103423978;
  double draw = random.normal();
  while (std::abs(draw) > 2) draw = random.normal();
  return draw / kDeviationLeft;
}

void store(std::span<float> out, int64_t index, std::complex<double> value) {
  out[static_cast<size_t>(2 * index)] = static_cast<float>(value.real());
  out[static_cast<size_t>(2 * index + 1)] = static_cast<float>(value.imag());
}

}  // namespace

Init init_Lambda(const Settings& settings, double (*part)(std::complex<double>)) {
  return [settings, part](std::span<float> out, Random&) {
    const Eigen::VectorXcd Lambda = basis_of(settings).Lambda;
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<float>(part(Lambda[static_cast<int64_t>(i) % Lambda.size()]));
    }
  };
}

Init init_B(const Settings& settings) {
  return [settings](std::span<float> out, Random& random) {
    const Basis basis = basis_of(settings);
    const int64_t size = basis.V.rows(), kept = basis.V.cols();
    const double deviation = 1 / std::sqrt(static_cast<double>(settings.state));
    Eigen::MatrixXd B(size, settings.channels);
    for (int64_t block = 0; block < settings.blocks; ++block) {
      for (double& b : B.reshaped()) b = deviation * truncated_normal(random);
      const Eigen::MatrixXcd rotated = basis.V.adjoint() * B;
      for (int64_t n = 0; n < kept; ++n) {
        for (int64_t i = 0; i < settings.channels; ++i) {
          store(out, (block * kept + n) * settings.channels + i, rotated(n, i));
        }
      }
    }
  };
}

Init init_C(const Settings& settings, ReadoutInit kind) {
  if (kind == ReadoutInit::kComplexNormal) return normal_init(0, std::numbers::sqrt2 / 2);
  const double state = static_cast<double>(settings.state);
  const double fan_in =
      kind == ReadoutInit::kLecunNormal ? state * static_cast<double>(settings.channels) : state;
  return [settings, deviation = 1 / std::sqrt(fan_in)](std::span<float> out, Random& random) {
    const Basis basis = basis_of(settings);
    const int64_t size = basis.V.rows(), kept = basis.V.cols();
    Eigen::RowVectorXcd c(size);
    for (int64_t i = 0; i < settings.channels; ++i) {
      for (int64_t block = 0; block < settings.blocks; ++block) {
        for (std::complex<double>& number : c) {
          const double re = truncated_normal(random);
          number = deviation * std::complex<double>(re, truncated_normal(random));
        }
        const Eigen::RowVectorXcd rotated = c * basis.V;
        for (int64_t n = 0; n < kept; ++n) {
          store(out, i * settings.modes + block * kept + n, rotated(n));
        }
      }
    }
  };
}

}  // namespace longwave::mixers::s5
