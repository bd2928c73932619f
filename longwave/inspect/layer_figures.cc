// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/layer_figures.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "longwave/inspect/number_text.h"
#include "longwave/inspect/text_plot.h"

namespace longwave::inspect {
namespace {

constexpr int kWidth = 360, kHeight = 230;
constexpr int kDisc = 316, kDiscHeight = 290;  // a square plotting area
constexpr size_t kMostPoles = 1200;
constexpr int kBins = 24;
constexpr std::array<Ink, 4> kChannelInks = {Ink::kFirst, Ink::kSecond, Ink::kThird, Ink::kFourth};

std::vector<double> decibels(const std::vector<double>& gains) {
  std::vector<double> result;
  for (const double gain : gains) result.push_back(20 * std::log10(gain));
  return result;
}

std::vector<double> counting(size_t count, double first) {
  std::vector<double> numbers(count);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

Figure::Entry channel_entry(const ChannelResponse& one, Ink ink) {
  return {ink, fmt::format("channel {}, memory {}", one.channel, short_number(one.memory))};
}

std::string poles_figure(const LayerAnalysis& layer) {
  Plot plot({.width = kDisc, .height = kDiscHeight, .title = "Poles in the unit disc"},
            {.label = "real part", .low = -1.1, .high = 1.1},
            {.label = "imaginary part", .low = -1.1, .high = 1.1});
  plot.circle(0, 0, 1, Ink::kFaint);
  const size_t stride = (layer.poles.size() + kMostPoles - 1) / kMostPoles;
  std::vector<double> re, im, mirrored;
  for (size_t i = 0; i < layer.poles.size(); i += stride) {
    re.push_back(layer.poles[i].real());
    im.push_back(layer.poles[i].imag());
    mirrored.push_back(-layer.poles[i].imag());
  }
  if (layer.half_of_pairs) plot.points(re, mirrored, Ink::kSpread, 1.6);
  plot.points(re, im, Ink::kFirst, 1.6);
  std::string explanation =
      "Each dot is a mode a that is multiplied by itself every step. Near the "
      "circle it remembers long; its angle is its frequency.";
  if (stride > 1) {
    explanation += fmt::format(" {} of {} poles are drawn.", thousands(int64_t(re.size())),
                               thousands(int64_t(layer.poles.size())));
  }
  Figure figure{"Poles", explanation, plot.svg(), {}};
  if (layer.half_of_pairs) {
    figure.legend = {{Ink::kFirst, "stored"}, {Ink::kSpread, "conjugate"}};
  }
  return figure_html(figure);
}

/// A histogram of positive numbers on a log axis.
std::string histogram_figure(const std::vector<double>& values, const std::string& label,
                             Figure figure) {
  const Axis across = fit_axis(label, values, Scale::kLog);
  const std::vector<double> counts = histogram(values, across, kBins);
  std::vector<double> edges;
  for (int i = 0; i <= kBins; ++i) {
    edges.push_back(across.low * std::pow(across.high / across.low, double(i) / kBins));
  }
  std::vector<double> range = counts;
  range.push_back(0);
  Plot plot({.width = kWidth, .height = kHeight, .title = figure.title}, across,
            fit_axis("count", range));
  plot.bars(edges, counts, Ink::kFirst);
  figure.picture = plot.svg();
  return figure_html(figure);
}

std::string gain_figure(const LayerAnalysis& layer) {
  const Spread gain = {decibels(layer.gain.low), decibels(layer.gain.middle),
                       decibels(layer.gain.high)};
  std::vector<double> range = gain.low;
  range.insert(range.end(), gain.high.begin(), gain.high.end());
  Plot plot({.width = kWidth, .height = kHeight, .title = "Gain over frequency"},
            {.label = "frequency, cycles per step",
             .low = layer.grid.front(),
             .high = layer.grid.back(),
             .scale = Scale::kLog},
            fit_axis("gain, dB", range));
  plot.band(layer.grid, gain.low, gain.high, Ink::kSpread);
  std::vector<Figure::Entry> legend = {{Ink::kSpread, "10 to 90 % of channels"},
                                       {Ink::kFirst, "median"}};
  // The shortest and the longest memory; more lines would hide each other.
  for (const auto& [one, ink] : {std::pair{&layer.shown.front(), Ink::kSecond},
                                 std::pair{&layer.shown.back(), Ink::kThird}}) {
    plot.line(layer.grid, decibels(one->gain), ink);
    legend.push_back(channel_entry(*one, ink));
  }
  plot.line(layer.grid, gain.middle, Ink::kFirst);
  return figure_html({"Bode plot",
                      "How strongly a wave of each frequency passes. Slow waves are on the left.",
                      plot.svg(), std::move(legend)});
}

std::string impulse_figure(const LayerAnalysis& layer) {
  std::vector<double> range = {0};
  size_t length = 1;
  for (const ChannelResponse& one : layer.shown) {
    range.insert(range.end(), one.impulse.begin(), one.impulse.end());
    length = std::max(length, one.impulse.size());
  }
  const std::vector<double> steps = counting(length, 1);
  std::vector<Figure::Entry> legend;
  Plot plot({.width = kWidth, .height = kHeight, .title = "Impulse responses"},
            {.label = "step, the impulse is at 1",
             .low = 1,
             .high = static_cast<double>(std::max<size_t>(length, 2)),
             .scale = Scale::kLog},
            fit_axis("output", range));
  for (size_t i = 0; i < layer.shown.size(); ++i) {
    const Ink ink = kChannelInks[i % kChannelInks.size()];
    plot.line(steps, layer.shown[i].impulse, ink);
    legend.push_back(channel_entry(layer.shown[i], ink));
  }
  return figure_html({"Impulse responses",
                      "What a channel answers to a single 1: the kernel of its convolution.",
                      plot.svg(), std::move(legend)});
}

std::string hankel_figure(const LayerAnalysis& layer) {
  const std::vector<double> order = counting(layer.hankel.middle.size(), 1);
  Axis up = fit_axis("share of the largest", layer.hankel.middle, Scale::kLog);
  up.low = std::max(up.low, 1e-12);
  Plot plot({.width = kWidth, .height = kHeight, .title = "Hankel singular values"},
            {.label = "order", .low = 0, .high = double(order.size() + 1)}, up);
  plot.band(order, layer.hankel.low, layer.hankel.high, Ink::kSpread);
  plot.line(order, layer.hankel.middle, Ink::kFirst);
  plot.points(order, layer.hankel.middle, Ink::kFirst, 1.8);
  return figure_html({"Hankel singular values",
                      "How much each balanced state matters. A steep fall says that a smaller "
                      "state would do.",
                      plot.svg(),
                      {{Ink::kFirst, "median channel"}, {Ink::kSpread, "10 to 90 %"}}});
}

}  // namespace

std::string figure_html(const Figure& figure) {
  std::string html = "<figure><figcaption><b>" + escape_markup(figure.title) + "</b> " +
                     escape_markup(figure.explanation) + "</figcaption>" + figure.picture;
  if (!figure.legend.empty()) {
    html += "<p class=\"legend\">";
    for (const Figure::Entry& entry : figure.legend) {
      html += fmt::format("<span class=\"key {}\">{}</span> ", class_of(entry.ink),
                          escape_markup(entry.text));
    }
    html += "</p>";
  }
  return html + "</figure>\n";
}

std::string layer_figures(const LayerAnalysis& layer) {
  std::string html;
  if (!layer.poles.empty()) {
    html += poles_figure(layer);
    html += histogram_figure(layer.time_constants, "time constant, steps",
                             {.title = "Time constants",
                              .explanation = "Steps until a mode has faded to 1/e of itself: how "
                                             "far back the layer can look.",
                              .picture = {},
                              .legend = {}});
  }
  if (!layer.shown.empty()) html += gain_figure(layer) + impulse_figure(layer);
  if (!layer.hankel.middle.empty()) html += hankel_figure(layer);
  if (!layer.step_sizes.empty()) {
    html += histogram_figure(layer.step_sizes, "dt",
                             {.title = "Step sizes",
                              .explanation = "The learned dt: how much continuous time passes "
                                             "in one step.",
                              .picture = {},
                              .legend = {}});
  }
  return html;
}

}  // namespace longwave::inspect
