// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/report_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "longwave/inspect/number_text.h"
#include "longwave/inspect/text_plot.h"

namespace longwave::inspect {
namespace {

constexpr int kBins = 32;

/// "  name   10 ▁▂▅█▃ 1000 unit   median 30, from 12 to 900"
std::string histogram_line(const std::string& name, const std::vector<double>& values, Scale scale,
                           const std::string& unit) {
  const Axis axis = fit_axis({}, values, scale);
  return fmt::format("  {:<16}{:>7} {} {:<6} {}: median {}, from {} to {}\n", name,
                     tick_text(axis.low), sparkline(histogram(values, axis, kBins)),
                     tick_text(axis.high), unit, short_number(quantile(values, 0.5)),
                     short_number(quantile(values, 0)), short_number(quantile(values, 1)));
}

std::string gain_plot(const LayerAnalysis& layer) {
  std::vector<double> decibels;
  for (const double gain : layer.gain.middle) decibels.push_back(20 * std::log10(gain));
  const Axis across = {.label = "cycles per step",
                       .low = layer.grid.front(),
                       .high = layer.grid.back(),
                       .scale = Scale::kLog};
  return "  gain in dB, median of channels\n" +
         dot_plot(layer.grid, decibels, across, fit_axis("dB", decibels), 60, 6);
}

/// How many balanced states hold all but a hundredth of the sum of the Hankel singular values.
size_t states_needed(const std::vector<double>& hankel) {
  double sum = 0, so_far = 0;
  for (const double value : hankel) sum += value;
  for (size_t i = 0; i < hankel.size(); ++i) {
    so_far += hankel[i];
    if (so_far >= 0.99 * sum) return i + 1;
  }
  return hankel.size();
}

std::string layer_text(const LayerAnalysis& layer) {
  std::string text = fmt::format("\nlayer {}: {}, {} channels, {} trained numbers", layer.index,
                                 layer.family, layer.channels, thousands(layer.parameters));
  if (layer.state_size > 0) {
    text += fmt::format(", {} numbers of state", thousands(layer.state_size));
  }
  text += '\n';
  if (layer.poles.empty()) return text + "  not a causal linear time-invariant system: no poles\n";
  double largest = 0;
  for (const std::complex<double>& pole : layer.poles) largest = std::max(largest, std::abs(pole));
  text += fmt::format("  {} poles, the largest of modulus {:.6f}{}\n",
                      thousands(static_cast<int64_t>(layer.poles.size())), largest,
                      largest < 1 ? "" : " (NOT STABLE)");
  std::vector<double> half_lives;
  for (const double time : layer.time_constants) half_lives.push_back(time * std::log(2));
  text += histogram_line("time constants", layer.time_constants, Scale::kLog, "steps");
  text += histogram_line("half-lives", half_lives, Scale::kLog, "steps");
  text += histogram_line("frequencies", layer.frequencies, Scale::kLinear, "cycles/step");
  if (!layer.step_sizes.empty()) {
    text += histogram_line("step sizes", layer.step_sizes, Scale::kLog, "dt");
  }
  if (!layer.hankel.middle.empty()) {
    std::vector<double> logs;
    for (const double share : layer.hankel.middle) {
      logs.push_back(std::log10(std::max(share, 1e-12)));
    }
    text += fmt::format("  {:<16}{:>7} {} {} of {} states hold 99 % (log scale)\n", "Hankel values",
                        "", sparkline(thinned(logs, kBins)), states_needed(layer.hankel.middle),
                        layer.hankel.middle.size());
  }
  for (const ChannelResponse& one : layer.shown) {
    text += fmt::format("  impulse ch {:<5}{:>7} {} {} steps; memory {}\n", one.channel, "",
                        sparkline(thinned(one.impulse, kBins)), one.impulse.size(),
                        short_number(one.memory));
  }
  return layer.gain.middle.empty() ? text : text + gain_plot(layer);
}

std::string table_text(const std::vector<ParameterFacts>& table) {
  size_t name_width = 4, shape_width = 5;
  for (const ParameterFacts& row : table) {
    name_width = std::max(name_width, row.name.size());
    shape_width = std::max(shape_width, row.shape.size());
  }
  std::string text = fmt::format("\n{:<{}}  {:<{}}  {:<8}  {:>10}  {:>9}  {:>9}  {:>9}  {:>9}\n",
                                 "parameter", name_width, "shape", shape_width, "group", "count",
                                 "mean", "deviation", "least", "most");
  for (const ParameterFacts& row : table) {
    text += fmt::format("{:<{}}  {:<{}}  {:<8}  {:>10}  {:>9.3g}  {:>9.3g}  {:>9.3g}  {:>9.3g}{}\n",
                        row.name, name_width, row.shape, shape_width, row.group,
                        thousands(row.count), row.mean, row.deviation, row.least, row.most,
                        row.not_finite == 0 ? "" : fmt::format("  {} NOT FINITE", row.not_finite));
  }
  return text;
}

}  // namespace

std::string text_report(const ModelAnalysis& analysis, const std::string& title) {
  std::string text = fmt::format(
      "{}: {} layers ({}), {} trained numbers, {}\n", title, analysis.layers.size(),
      analysis.pattern, thousands(analysis.parameters),
      analysis.causal ? byte_text(analysis.state_size * static_cast<int64_t>(sizeof(float))) +
                            " of state a sequence at any length"
                      : "not causal: whole sequences only");
  for (const LayerAnalysis& layer : analysis.layers) text += layer_text(layer);
  return text + table_text(analysis.table);
}

}  // namespace longwave::inspect
