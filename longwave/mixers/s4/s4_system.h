// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <complex>
#include <span>

#include "longwave/base/parameter.h"
#include "longwave/mixers/s4/s4.h"
#include "longwave/theory/dplr.h"

namespace longwave::mixers::s4 {

/// Numbers (re, im, re, im, ...) as a row of complex ones in double.
inline Eigen::RowVectorXcd complex_row(std::span<const float> pairs) {
  Eigen::RowVectorXcd row(static_cast<int64_t>(pairs.size() / 2));
  for (int64_t n = 0; n < row.size(); ++n) {
    row(n) = {pairs[static_cast<size_t>(2 * n)], pairs[static_cast<size_t>(2 * n + 1)]};
  }
  return row;
}

/// The weights of a layer but for its readout, seen as continuous systems in double.
class Parts {
 public:
  Parts(const Shapes& shapes, const Weights& weights)
      : shapes_(shapes),
        log_dt_(weights.view<1>("log_dt", {shapes.channels})),
        A_log_re_(weights.view<2>("A_log_re", {shapes.copies, shapes.modes})),
        A_im_(weights.view<2>("A_im", {shapes.copies, shapes.modes})),
        P_(weights.view<4>("P", {shapes.rank, shapes.copies, shapes.modes, 2})),
        B_(weights.view<3>("B", {shapes.copies, shapes.modes, 2})) {}

  double dt(int64_t channel) const { return std::exp(static_cast<double>(log_dt_(channel))); }

  /// The system of a channel with the given readout.
  theory::Dplr system(int64_t channel, Eigen::RowVectorXcd C) const {
    const int64_t s = shapes_.copy_of(channel), modes = shapes_.modes;
    theory::Dplr system{Eigen::VectorXcd(modes), Eigen::MatrixXcd(modes, shapes_.rank),
                        Eigen::VectorXcd(modes), std::move(C)};
    for (int64_t n = 0; n < modes; ++n) {
      system.Lambda(n) = {-std::exp(static_cast<double>(A_log_re_(s, n))), A_im_(s, n)};
      system.B(n) = {B_(s, n, 0), B_(s, n, 1)};
      for (int64_t r = 0; r < shapes_.rank; ++r) {
        system.P(n, r) = {P_(r, s, n, 0), P_(r, s, n, 1)};
      }
    }
    return system;
  }

 private:
  Shapes shapes_;
  View<const float, 1> log_dt_;
  View<const float, 2> A_log_re_, A_im_;
  View<const float, 4> P_;
  View<const float, 3> B_;
};

}  // namespace longwave::mixers::s4
