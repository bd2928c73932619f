// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/report_html.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "longwave/inspect/layer_figures.h"
#include "longwave/inspect/number_text.h"
#include "longwave/inspect/page.h"

namespace longwave::inspect {
namespace {

std::string fact(std::string_view name, const std::string& value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", escape_markup(name),
                     escape_markup(value));
}

/// The last value of a metric on a split, or NaN.
double last_value(const std::vector<TrainingCurve>& curves, std::string_view split,
                  std::string_view metric) {
  for (const TrainingCurve& curve : curves) {
    if (curve.split == split && curve.metric == metric && !curve.value.empty()) {
      return curve.value.back();
    }
  }
  return std::nan("");
}

std::string what_it_does(const models::Interface& interface) {
  const std::string takes =
      interface.input == models::Interface::Input::kTokens
          ? fmt::format("one of {} tokens", thousands(interface.input_size))
          : fmt::format("{} number{}", interface.input_size, interface.input_size == 1 ? "" : "s");
  return fmt::format(
      "It takes {} a step and answers with {} number{} {}.", takes, interface.output_size,
      interface.output_size == 1 ? "" : "s",
      interface.output == models::Interface::Output::kStep ? "at every step" : "for a sequence");
}

std::string header(const ModelAnalysis& analysis, const ReportContext& context) {
  std::vector<double> memories;
  for (const LayerAnalysis& layer : analysis.layers) {
    memories.insert(memories.end(), layer.time_constants.begin(), layer.time_constants.end());
  }
  std::string html = fmt::format(
      "<h1>{}</h1>\n<p class=\"lead\">A state space model of {} layers: {}. {} {}</p>\n<dl>",
      escape_markup(context.title), analysis.layers.size(), escape_markup(analysis.pattern),
      what_it_does(analysis.interface),
      analysis.causal ? "It streams: its memory is a state of constant size."
                      : "It looks at later inputs, so it reads whole sequences only.");
  for (const std::string_view split : {"test", "validation"}) {
    const double accuracy = last_value(context.curves, split, "accuracy");
    if (std::isfinite(accuracy)) {
      html += fact(fmt::format("{} accuracy", split), fmt::format("{:.3f}", accuracy));
      break;
    }
  }
  html += fact("trained numbers", thousands(analysis.parameters));
  if (analysis.causal) {
    html += fact("state of a sequence",
                 byte_text(analysis.state_size * static_cast<int64_t>(sizeof(float))));
  }
  if (!memories.empty()) {
    html += fact("time constants, median",
                 fmt::format("{} steps", short_number(quantile(memories, 0.5))));
    html += fact("longest", fmt::format("{} steps", short_number(quantile(memories, 1))));
  }
  if (std::abs(analysis.rate - 1) > 1e-12) html += fact("rate", short_number(analysis.rate));
  return html + "</dl>\n";
}

std::string training_section(const std::vector<TrainingCurve>& curves) {
  constexpr std::array<Ink, 4> kInks = {Ink::kFirst, Ink::kSecond, Ink::kThird, Ink::kFourth};
  std::string figures;
  for (const std::string_view metric : {"loss", "accuracy", "mse"}) {
    std::vector<double> steps, values;
    for (const TrainingCurve& curve : curves) {
      if (curve.metric != metric) continue;
      steps.insert(steps.end(), curve.step.begin(), curve.step.end());
      values.insert(values.end(), curve.value.begin(), curve.value.end());
    }
    if (values.empty()) continue;
    steps.push_back(0);
    if (metric == "accuracy") values.insert(values.end(), {0, 1});
    Plot plot({.width = 520, .height = 260, .title = std::string(metric)}, fit_axis("step", steps),
              fit_axis(std::string(metric), values));
    Figure figure{.title = std::string(metric), .explanation = {}, .picture = {}, .legend = {}};
    for (const TrainingCurve& curve : curves) {
      if (curve.metric != metric) continue;
      const Ink ink = kInks[figure.legend.size() % kInks.size()];
      plot.line(curve.step, curve.value, ink);
      if (curve.step.size() < 40) plot.points(curve.step, curve.value, ink, 2.5);
      figure.legend.push_back({ink, curve.split});
    }
    figure.picture = plot.svg();
    figures += figure_html(figure);
  }
  if (figures.empty()) return {};
  return "<h2>Training</h2>\n<div class=\"figures\">\n" + figures + "</div>\n";
}

std::string layer_section(const LayerAnalysis& layer) {
  std::string facts =
      fmt::format("{} channels, {} trained numbers", layer.channels, thousands(layer.parameters));
  if (layer.state_size > 0) {
    facts += fmt::format(", {} numbers of state", thousands(layer.state_size));
  }
  if (layer.poles.empty()) {
    facts += ". Not a causal linear time-invariant system: it has no poles to show.";
  } else {
    double largest = 0;
    for (const std::complex<double>& pole : layer.poles) {
      largest = std::max(largest, std::abs(pole));
    }
    std::vector<double> half_lives;
    for (const double time : layer.time_constants) half_lives.push_back(time * std::log(2));
    facts += fmt::format(
        ". {} poles, the largest of modulus {:.6f}{}. Half-lives: median {} steps, from {} to {}.",
        thousands(static_cast<int64_t>(layer.poles.size())), largest,
        largest < 1 ? "" : ": NOT STABLE", short_number(quantile(half_lives, 0.5)),
        short_number(quantile(half_lives, 0)), short_number(quantile(half_lives, 1)));
  }
  return fmt::format(
      "<h2>Layer {}: {}</h2>\n<p class=\"facts\">{}</p>\n<div class=\"figures\">\n{}</div>\n",
      layer.index, escape_markup(layer.family), facts, layer_figures(layer));
}

std::string parameter_table(const std::vector<ParameterFacts>& table) {
  std::string html =
      "<h2>Parameters</h2>\n<div class=\"wide\"><table><thead><tr><th>name</th><th>shape</th>"
      "<th>group</th><th>count</th><th>mean</th><th>deviation</th><th>least</th><th>most</th>"
      "</tr></thead><tbody>\n";
  for (const ParameterFacts& row : table) {
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.3g}</td><td>{:.3g}</td>"
        "<td>{:.3g}</td><td>{:.3g}{}</td></tr>\n",
        escape_markup(row.name), row.shape, row.group, thousands(row.count), row.mean,
        row.deviation, row.least, row.most,
        row.not_finite == 0 ? "" : fmt::format(" ({} NOT FINITE)", row.not_finite));
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace

std::string html_report(const ModelAnalysis& analysis, const ReportContext& context) {
  std::string body = header(analysis, context) + training_section(context.curves);
  for (const LayerAnalysis& layer : analysis.layers) body += layer_section(layer);
  body += parameter_table(analysis.table);
  return html_page({.title = context.title, .body = std::move(body), .foot = context.made_by});
}

}  // namespace longwave::inspect
