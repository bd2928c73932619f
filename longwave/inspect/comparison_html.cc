// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <array>
#include <cmath>
#include <functional>
#include <utility>

#include "longwave/inspect/comparison.h"
#include "longwave/inspect/layer_figures.h"
#include "longwave/inspect/number_text.h"
#include "longwave/inspect/page.h"
#include "longwave/inspect/svg.h"

namespace longwave::inspect {
namespace {

constexpr std::array<Ink, 6> kInks = {Ink::kFirst,  Ink::kSecond, Ink::kThird,
                                      Ink::kFourth, Ink::kFifth,  Ink::kSixth};

Ink ink_of(size_t model) { return kInks[model % kInks.size()]; }

/// A curve of one model over lengths.
struct Curve {
  std::vector<double> x, y;
};
using CurveOf = std::function<Curve(const ComparedModel&)>;

struct Words {
  std::string title;
  std::string explanation;
  std::string axis;
};

std::string figure(const Comparison& comparison, const Words& words, const CurveOf& curve_of) {
  std::vector<Curve> curves;
  std::vector<double> every_x, every_y;
  for (const ComparedModel& model : comparison.models) {
    curves.push_back(curve_of(model));
    every_x.insert(every_x.end(), curves.back().x.begin(), curves.back().x.end());
    every_y.insert(every_y.end(), curves.back().y.begin(), curves.back().y.end());
  }
  if (every_y.empty()) return {};
  Plot plot({.width = 440, .height = 300, .title = words.title},
            fit_axis("length, steps", every_x, Scale::kLog),
            fit_axis(words.axis, every_y, Scale::kLog));
  Figure result{
      .title = words.title, .explanation = words.explanation, .picture = {}, .legend = {}};
  for (size_t i = 0; i < curves.size(); ++i) {
    plot.line(curves[i].x, curves[i].y, ink_of(i));
    plot.points(curves[i].x, curves[i].y, ink_of(i), 3);
    result.legend.push_back({ink_of(i), comparison.models[i].name});
  }
  result.picture = plot.svg();
  return figure_html(result);
}

CurveOf over_lengths(double (*value)(const LengthCost&)) {
  return [value](const ComparedModel& model) {
    Curve curve;
    for (const LengthCost& cost : model.lengths) {
      curve.x.push_back(static_cast<double>(cost.length));
      curve.y.push_back(value(cost));
    }
    return curve;
  };
}

CurveOf over_training(double (*value)(const TrainingCost&)) {
  return [value](const ComparedModel& model) {
    Curve curve;
    for (const TrainingCost& cost : model.training) {
      curve.x.push_back(static_cast<double>(cost.time_steps));
      curve.y.push_back(value(cost));
    }
    return curve;
  };
}

constexpr double kMebibyte = 1024.0 * 1024.0;

std::string length_figures(const Comparison& comparison) {
  std::string html;
  html +=
      figure(comparison, {"Training time", "Forward and backward over one sequence.", "seconds"},
             over_training([](const TrainingCost& cost) { return cost.seconds; }));
  html += figure(comparison,
                 {"Training memory", "How far that raised the memory of its own process.", "MiB"},
                 over_training([](const TrainingCost& cost) {
                   return static_cast<double>(cost.added_bytes) / kMebibyte;
                 }));
  html += figure(
      comparison, {"Prefill", "A whole sequence at once; flat is linear time.", "us a step"},
      over_lengths([](const LengthCost& cost) { return 1e6 / cost.speed(cost.prefill_median); }));
  html +=
      figure(comparison,
             {"Latency of a step", "One more step after a sequence of that length, median.", "us"},
             over_lengths([](const LengthCost& cost) { return cost.step_p50; }));
  html += figure(comparison, {"Memory of the past", "Bytes of state that are in use.", "KiB"},
                 over_lengths([](const LengthCost& cost) {
                   return static_cast<double>(cost.state_bytes_used) / 1024;
                 }));
  return html;
}

/// One figure a metric: quality over what a training step costs.
std::string quality_figures(const Comparison& comparison) {
  std::vector<std::string> names;
  for (const ComparedModel& model : comparison.models) {
    if (!model.quality || !names.empty()) continue;
    for (const auto& [name, value] : model.quality->test) names.push_back(name);
  }
  std::string html;
  for (const std::string& name : names) {
    std::vector<double> x, y;
    Figure result{.title = "Test " + name,
                  .explanation = "Against the time of training.",
                  .picture = {},
                  .legend = {}};
    for (const ComparedModel& model : comparison.models) {
      x.push_back(model.quality ? model.quality->seconds : std::nan(""));
      y.push_back(std::nan(""));
      if (!model.quality) continue;
      for (const auto& [metric, value] : model.quality->test) {
        if (metric == name) y.back() = value;
      }
    }
    Plot plot({.width = 440, .height = 300, .title = result.title},
              fit_axis("training, s", x, Scale::kLog), fit_axis(name, y));
    for (size_t i = 0; i < x.size(); ++i) {
      const std::string& model = comparison.models[i].name;
      const std::array<std::string, 1> note = {fmt::format("{}: {}", model, short_number(y[i]))};
      plot.points(std::array{x[i]}, std::array{y[i]}, ink_of(i), 5, note);
      result.legend.push_back({ink_of(i), model});
    }
    result.picture = plot.svg();
    html += figure_html(result);
  }
  return html;
}

std::string model_table(const Comparison& comparison) {
  std::string html =
      "<div class=\"wide\"><table><thead><tr><th>mixer</th><th>layers</th><th>d_model</th>"
      "<th>parameters</th><th>training step, ms</th><th>its memory</th>"
      "<th>growth of prefill</th><th>of a step</th><th>of the state</th></tr></thead><tbody>\n";
  const auto exponent = [](double measured, double theory) {
    return std::isfinite(measured) ? fmt::format("{:.2f} (theory {:.0f})", measured, theory)
                                   : std::string("–");
  };
  for (const ComparedModel& model : comparison.models) {
    const Growth growth = measured_growth(model);
    const Growth theory = growth_in_theory(model.pattern);
    const auto& step = model.training_step;
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
        "<td>{}</td><td>{}</td></tr>\n",
        escape_markup(model.name), escape_markup(model.pattern), model.d_model,
        thousands(model.parameters), step ? fmt::format("{:.1f}", 1e3 * step->seconds) : "–",
        step ? byte_text(step->added_bytes) : "–", exponent(growth.prefill, theory.prefill),
        exponent(growth.step, theory.step), exponent(growth.state, theory.state));
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace

std::string comparison_html(const Comparison& comparison, const std::string& made_by) {
  std::string body = fmt::format(
      "<h1>{}</h1>\n<p class=\"lead\">Models of about {} trained parameters each. Their width is "
      "fitted; same data, optimiser steps and seed ({}). In the costs by length attention looks at "
      "all positions.</p>\n",
      escape_markup(comparison.recipe), thousands(comparison.budget), comparison.seed);
  body += "<p class=\"facts\">";
  for (const auto& [name, value] : comparison.facts) {
    body += fmt::format("{}: {}. ", escape_markup(name), escape_markup(value));
  }
  body += "</p>\n" + model_table(comparison);
  const std::string quality = quality_figures(comparison);
  if (!quality.empty())
    body += "<h2>Quality</h2>\n<div class=\"figures\">\n" + quality + "</div>\n";
  const std::string lengths = length_figures(comparison);
  if (!lengths.empty()) {
    body += "<h2>Cost by length</h2>\n<div class=\"figures\">\n" + lengths + "</div>\n";
  }
  return html_page(
      {.title = "Comparison: " + comparison.recipe, .body = std::move(body), .foot = made_by});
}

}  // namespace longwave::inspect
