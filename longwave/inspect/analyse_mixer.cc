// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "longwave/base/parallel.h"
#include "longwave/inspect/analysis.h"
#include "longwave/inspect/error_bound.h"
#include "longwave/theory/gramian.h"
#include "longwave/theory/spectrum.h"

namespace longwave::inspect {
namespace {

using theory::DiscreteSystem;

constexpr int kGridPoints = 241;
constexpr double kLowestFrequency = 1e-4, kNyquist = 0.5;
constexpr size_t kShownChannels = 4;
constexpr size_t kHankelSystems = 8;
constexpr size_t kDiagonalGains = 64, kDenseGains = 12;
constexpr int64_t kShortestImpulse = 64, kLongestImpulse = 1024;

/// At most `count` of the indices of `memory`, evenly from the smallest value to the largest.
std::vector<int64_t> spread_evenly(const std::vector<double>& memory, size_t count) {
  std::vector<int64_t> order(memory.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](int64_t i) { return memory[static_cast<size_t>(i)]; });
  if (order.size() <= count) return order;
  std::vector<int64_t> chosen;
  for (size_t i = 0; i < count; ++i) {
    chosen.push_back(order[count == 1 ? 0 : i * (order.size() - 1) / (count - 1)]);
  }
  return chosen;
}

/// What one input does to the output of the same channel.
DiscreteSystem channel_system(const DiscreteSystem& system, Eigen::Index channel) {
  return {.A = system.A,
          .B = system.B.col(channel),
          .C = system.C.row(channel),
          .D = system.D.block(channel, channel, 1, 1)};
}

std::vector<double> frequency_grid() {
  std::vector<double> grid(kGridPoints);
  for (int i = 0; i < kGridPoints; ++i) {
    const double share = static_cast<double>(i) / (kGridPoints - 1);
    grid[static_cast<size_t>(i)] = kLowestFrequency * std::pow(kNyquist / kLowestFrequency, share);
  }
  return grid;
}

/// Gains of every output, (outputs) entries of one gain a frequency.
std::vector<std::vector<double>> gains_of(const DiscreteSystem& system,
                                          const std::vector<double>& grid) {
  std::vector<double> omegas;
  for (const double frequency : grid) omegas.push_back(2 * std::numbers::pi * frequency);
  std::vector<std::vector<double>> gains(static_cast<size_t>(system.C.rows()));
  for (const Eigen::MatrixXcd& H : theory::frequency_response(system, omegas)) {
    for (Eigen::Index o = 0; o < H.rows(); ++o) {
      gains[static_cast<size_t>(o)].push_back(H.row(o).norm());
    }
  }
  return gains;
}

/// Percentiles across curves, point by point; curves may have different lengths.
Spread spread_of(const std::vector<std::vector<double>>& curves) {
  Spread spread;
  size_t length = 0;
  for (const std::vector<double>& curve : curves) length = std::max(length, curve.size());
  for (size_t i = 0; i < length; ++i) {
    std::vector<double> values;
    for (const std::vector<double>& curve : curves) {
      if (i < curve.size()) values.push_back(curve[i]);
    }
    spread.low.push_back(quantile(values, 0.1));
    spread.middle.push_back(quantile(values, 0.5));
    spread.high.push_back(quantile(values, 0.9));
  }
  return spread;
}

/// Hankel singular values as shares of the largest; none if the system is not stable.
std::vector<double> hankel_shares(const DiscreteSystem& system) {
  const Eigen::VectorXcd poles = theory::poles(system.A);
  const bool stable = poles.size() > 0 && poles.cwiseAbs().maxCoeff() < 1;
  if (!stable) return {};
  const Eigen::VectorXd values = theory::hankel_singular_values(system);
  if (values.size() == 0 || !(values[0] > 0)) return {};
  const Eigen::VectorXd shares = values / values[0];
  return {shares.begin(), shares.end()};
}

double memory_of(const std::vector<theory::Mode>& modes) {
  double memory = 0;
  for (const theory::Mode& mode : modes) {
    // A mode that does not decay remembers for ever.
    const bool decays = mode.time_constant >= 0;
    memory =
        std::max(memory, decays ? mode.time_constant : std::numeric_limits<double>::infinity());
  }
  return memory;
}

/// Poles of all systems, and the memory of each.
std::vector<double> add_poles(const std::vector<DiscreteSystem>& systems, LayerAnalysis& layer) {
  std::vector<std::vector<theory::Mode>> modes(systems.size());
  parallel_for(static_cast<int64_t>(systems.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      modes[static_cast<size_t>(i)] = theory::modes(systems[static_cast<size_t>(i)]);
    }
  });
  layer.half_of_pairs = std::ranges::any_of(
      systems, [](const DiscreteSystem& system) { return !system.A.imag().isZero(0.0); });
  std::vector<double> memory;
  for (const std::vector<theory::Mode>& list : modes) {
    memory.push_back(memory_of(list));
    for (const theory::Mode& mode : list) {
      layer.poles.push_back(mode.pole);
      layer.time_constants.push_back(mode.time_constant);
      layer.frequencies.push_back(std::abs(mode.frequency));
    }
  }
  return memory;
}

void add_gains(const std::vector<DiscreteSystem>& systems, const std::vector<double>& memory,
               LayerAnalysis& layer) {
  layer.grid = frequency_grid();
  const size_t count = is_diagonal(systems[0]) ? kDiagonalGains : kDenseGains;
  const std::vector<int64_t> chosen = spread_evenly(memory, count);
  std::vector<std::vector<std::vector<double>>> gains(chosen.size());
  parallel_for(static_cast<int64_t>(chosen.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto index = static_cast<size_t>(i);
      gains[index] = gains_of(systems[static_cast<size_t>(chosen[index])], layer.grid);
    }
  });
  std::vector<std::vector<double>> curves;
  for (const auto& list : gains) curves.insert(curves.end(), list.begin(), list.end());
  layer.gain = spread_of(curves);
}

void add_hankel(const std::vector<DiscreteSystem>& systems, const std::vector<double>& memory,
                LayerAnalysis& layer) {
  const std::vector<int64_t> chosen = spread_evenly(memory, kHankelSystems);
  std::vector<std::vector<double>> shares(chosen.size());
  parallel_for(static_cast<int64_t>(chosen.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto index = static_cast<size_t>(i);
      shares[index] = hankel_shares(systems[static_cast<size_t>(chosen[index])]);
    }
  });
  layer.hankel = spread_of(shares);
}

void add_shown(const std::vector<DiscreteSystem>& systems, const std::vector<double>& memory,
               LayerAnalysis& layer) {
  const bool one_each = systems[0].B.cols() == 1;
  const std::vector<double> evenly(static_cast<size_t>(layer.channels), memory[0]);
  const std::vector<int64_t> chosen = spread_evenly(one_each ? memory : evenly, kShownChannels);
  std::vector<double> lengths;
  for (const int64_t channel : chosen) {
    lengths.push_back(one_each ? memory[static_cast<size_t>(channel)] : memory[0]);
  }
  const double wanted = 4 * quantile(lengths, 0.5);
  const int64_t length = wanted < static_cast<double>(kLongestImpulse)
                             ? std::max(kShortestImpulse, static_cast<int64_t>(wanted))
                             : kLongestImpulse;
  for (size_t i = 0; i < chosen.size(); ++i) {
    const int64_t channel = chosen[i], inputs = systems[0].B.cols();
    const DiscreteSystem& system = systems[static_cast<size_t>(channel / inputs)];
    const DiscreteSystem single = channel_system(system, channel % inputs);
    ChannelResponse response{.channel = channel,
                             .memory = memory[static_cast<size_t>(channel / inputs)],
                             .gain = gains_of(single, layer.grid)[0],
                             .impulse = {}};
    for (const Eigen::MatrixXd& value : theory::impulse_response(single, length)) {
      response.impulse.push_back(value(0, 0));
    }
    layer.shown.push_back(std::move(response));
  }
}

}  // namespace

double quantile(std::vector<double> values, double q) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::ranges::sort(values);
  const double at = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

LayerAnalysis analyse_mixer(const mixers::Mixer& mixer) {
  LayerAnalysis layer;
  layer.channels = mixer.channels();
  layer.systems = mixer.system_count();
  layer.state_size = mixer.state_size();
  if (layer.systems == 0) return layer;
  std::vector<DiscreteSystem> systems;
  for (int64_t i = 0; i < layer.systems; ++i) systems.push_back(mixer.system(i));
  const std::vector<double> memory = add_poles(systems, layer);
  add_gains(systems, memory, layer);
  add_hankel(systems, memory, layer);
  add_shown(systems, memory, layer);
  return layer;
}

}  // namespace longwave::inspect
