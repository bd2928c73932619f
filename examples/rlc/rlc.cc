// SPDX-License-Identifier: Apache-2.0
// A series RLC circuit as a state space model: its poles, its step response under every
// discretisation against the exact one, and the proof that recurrence is convolution.
//
//   usage: rlc [OHM HENRY FARAD]
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdlib>
#include <exception>

#include "longwave/theory/discretize.h"
#include "longwave/theory/simulate.h"
#include "longwave/theory/spectrum.h"

namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using longwave::theory::ContinuousSystem;
using longwave::theory::DiscreteSystem;
using longwave::theory::Discretization;

struct Circuit {
  double R = 20;    // ohm
  double L = 0.01;  // henry
  double C = 1e-6;  // farad
};

// State: current through the inductor, voltage over the capacitor. Input: source voltage.
// Output: voltage over the capacitor.
ContinuousSystem state_space(const Circuit& circuit) {
  const auto& [R, L, C] = circuit;
  return {.A = MatrixXd{{-R / L, -1 / L}, {1 / C, 0}},
          .B = MatrixXd{{1 / L}, {0}},
          .C = MatrixXd{{0, 1}},
          .D = MatrixXd{{0}}};
}

// The voltage at time t after the source was switched from 0 to 1 volt.
double exact_step_response(const Circuit& circuit, double t) {
  const auto& [R, L, C] = circuit;
  const double damping = R / (2 * L);
  // Imaginary for a circuit that rings, zero at critical damping, else real.
  const std::complex<double> root =
      std::sqrt(std::complex<double>(damping * damping - 1 / (L * C)));
  const std::complex<double> sine = root == 0.0 ? t : std::sinh(root * t) / root;
  return 1 - std::exp(-damping * t) * (std::cosh(root * t) + damping * sine).real();
}

void show_circuit(const Circuit& circuit) {
  fmt::print("Series RLC circuit: R = {:g} ohm, L = {:g} H, C = {:g} F\n\n", circuit.R, circuit.L,
             circuit.C);
  fmt::print("  {:>28}  {:>13}  {:>13}  {:>12}\n", "pole (1/s)", "time constant", "half-life",
             "frequency");
  for (const auto& mode : longwave::theory::modes(state_space(circuit))) {
    const auto pole = fmt::format("{:.1f} {:+.1f}i", mode.pole.real(), mode.pole.imag());
    fmt::print("  {:>28}  {:>10.4f} ms  {:>10.4f} ms  {:>9.1f} Hz\n", pole,
               1e3 * mode.time_constant, 1e3 * mode.half_life, mode.frequency);
  }
}

// The largest error of the step response over so many steps.
double step_error(const Circuit& circuit, Discretization rule, double dt, Index steps) {
  const DiscreteSystem system = discretize(state_space(circuit), dt, rule);
  const MatrixXd u = MatrixXd::Ones(steps, 1);
  // Rules that look at the previous input keep it in the state; the source was on at t = 0.
  Eigen::VectorXcd start = Eigen::VectorXcd::Zero(system.A.rows());
  if (start.size() > 2) start(2) = 1;
  const MatrixXd y = simulate(system, u, start).y;
  double worst = 0;
  for (Index k = 0; k < steps; ++k) {
    const double exact = exact_step_response(circuit, static_cast<double>(k + 1) * dt);
    const double error = std::abs(y(k, 0) - exact);
    // Written so that a NaN counts as the worst.
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

void show_discretisations(const Circuit& circuit) {
  const auto modes = longwave::theory::modes(state_space(circuit));
  double fastest = 0;
  for (const auto& mode : modes) fastest = std::max(fastest, std::abs(mode.pole));
  const double dt = 0.05 / fastest;
  fmt::print("\nStep response for {:.2f} ms: largest error in volt\n\n", 1e3 * 800 * dt);
  fmt::print("  {:<20}  {:>11}  {:>11}  {:>7}  {:>21}\n", "discretisation",
             fmt::format("dt {:.1f} us", 1e6 * dt), fmt::format("dt {:.1f} us", 5e5 * dt), "ratio",
             fmt::format("pole size at {:.0f} us", 4e7 * dt));
  for (const auto& name : longwave::theory::discretization_names()) {
    const Discretization rule = longwave::theory::discretization(name);
    // Impulses and events are other readings of the input than a sampled voltage.
    if (rule == Discretization::kDirac || rule == Discretization::kAsynchronous) continue;
    const double coarse = step_error(circuit, rule, dt, 800);
    const double fine = step_error(circuit, rule, dt / 2, 1600);
    const bool exact = coarse < 1e-11;
    double size = 0;
    for (const auto& mode : modes) {
      size = std::max(size, std::abs(discretize(mode.pole, 40 * dt, rule).a));
    }
    fmt::print("  {:<20}  {:>11.2e}  {:>11.2e}  {:>7}  {:>21.3f}{}\n", name, coarse, fine,
               exact ? "exact" : fmt::format("{:.2f}", coarse / fine), size,
               size > 1 ? "  unstable" : "");
  }
}

void show_views(const Circuit& circuit) {
  const Index time = 1000;
  const DiscreteSystem system =
      discretize(state_space(circuit), 1e-5, Discretization::kZeroOrderHold);
  MatrixXd u(time, 1);
  for (Index k = 0; k < time; ++k) u(k, 0) = std::sin(0.02 * static_cast<double>(k * k % 977));

  const MatrixXd recurrent = simulate(system, u).y;
  const auto kernel = longwave::theory::impulse_response(system, time);
  const MatrixXd convolved = longwave::theory::convolve(kernel, u);

  fmt::print("\nThe same output twice, {} steps of 10 us\n\n", time);
  fmt::print("  recurrence, 2 numbers of state      {:.15f} V at the end\n",
             recurrent(time - 1, 0));
  fmt::print("  convolution, a kernel of {} steps {:.15f} V\n", time, convolved(time - 1, 0));
  fmt::print("  largest difference                  {:.1e} V\n",
             (recurrent - convolved).cwiseAbs().maxCoeff());
}

}  // namespace

int main(int argc, char** argv) {
  Circuit circuit;
  if (argc == 4) circuit = {std::atof(argv[1]), std::atof(argv[2]), std::atof(argv[3])};
  const bool positive = circuit.R > 0 && circuit.L > 0 && circuit.C > 0;
  if ((argc != 1 && argc != 4) || !positive) {
    fmt::print(stderr, "usage: rlc [OHM HENRY FARAD]   (positive numbers)\n");
    return 2;
  }
  try {
    show_circuit(circuit);
    show_discretisations(circuit);
    show_views(circuit);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
