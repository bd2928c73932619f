// SPDX-License-Identifier: Apache-2.0
// From one circuit to a layer: HiPPO is a bank of circuits that remembers its input, and one
// channel of S4D is such a bank with a readout.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <vector>

#include "longwave/theory/diagonal_init.h"
#include "longwave/theory/discretize.h"
#include "longwave/theory/hippo.h"
#include "longwave/theory/simulate.h"
#include "longwave/theory/spectrum.h"

namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using longwave::theory::ContinuousSystem;
using longwave::theory::diagonal_poles;
using longwave::theory::DiagonalInit;
using longwave::theory::DiscreteSystem;
using longwave::theory::Discretization;

double signal(double t) { return std::sin(9 * t) + 0.5 * std::cos(23 * t * t); }

// The largest error with which `state` numbers give back 2000 samples of the signal.
double recall_error(int64_t state) {
  std::vector<double> samples(2000);
  for (size_t k = 0; k < samples.size(); ++k) {
    samples[k] = signal((static_cast<double>(k) + 0.5) / 2000);
  }
  const Eigen::VectorXd c =
      longwave::theory::legs_memory(state, samples, Discretization::kBilinear);
  double worst = 0;
  for (double t = 0.02; t < 1; t += 0.02) {
    worst = std::max(worst, std::abs(longwave::theory::legs_reconstruct(c, t) - signal(t)));
  }
  return worst;
}

void show_memory() {
  fmt::print("HiPPO LegS: 2000 samples remembered by a few numbers\n\n");
  fmt::print("  {:>14}  {:>13}\n", "state", "largest error");
  for (const int64_t state : {4, 8, 16, 32, 64}) {
    fmt::print("  {:>14}  {:>13.5f}\n", state, recall_error(state));
  }
}

// One pole pair of a layer is a series RLC circuit: -R/(2L) +- i sqrt(1/(LC) - (R/2L)^2).
void show_circuits(int64_t modes) {
  const auto start = diagonal_poles(DiagonalInit::kLegS, modes);
  fmt::print("\nThe poles an S4D layer starts from, as circuits with L = 1 H\n\n");
  fmt::print("  {:>22}  {:>8}  {:>12}\n", "pole", "R (ohm)", "C (farad)");
  for (const auto& pole : start.Lambda) {
    fmt::print("  {:>22}  {:>8.3f}  {:>12.3e}\n",
               fmt::format("{:.3f} {:+.3f}i", pole.real(), pole.imag()), -2 * pole.real(),
               1 / std::norm(pole));
  }
}

// One channel of S4D: x' = diag(Lambda) x + B u, y = 2 Re(C x), by zero-order hold.
DiscreteSystem s4d_channel(int64_t modes, double dt) {
  const auto start = diagonal_poles(DiagonalInit::kLegS, modes);
  const ContinuousSystem bank{.A = start.Lambda.asDiagonal(),
                              .B = start.B,
                              .C = Eigen::MatrixXcd::Constant(1, modes, 2),
                              .D = MatrixXd::Zero(1, 1)};
  return discretize(bank, dt, Discretization::kZeroOrderHold);
}

void show_channel(int64_t modes) {
  const DiscreteSystem channel = s4d_channel(modes, 0.01);
  MatrixXd u(500, 1);
  for (Index k = 0; k < u.rows(); ++k) u(k, 0) = signal(0.002 * static_cast<double>(k));
  const auto kernel = longwave::theory::impulse_response(channel, u.rows());
  const MatrixXd difference = simulate(channel, u).y - longwave::theory::convolve(kernel, u);
  fmt::print("\nOne S4D channel of {} circuits, 500 samples\n\n", modes);
  fmt::print("  recurrence against convolution: largest difference {:.1e}\n",
             difference.cwiseAbs().maxCoeff());
}

}  // namespace

int main() {
  try {
    show_memory();
    show_circuits(8);
    show_channel(8);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
