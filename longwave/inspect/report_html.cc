// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/report_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "longwave/inspect/layer_figures.h"
#include "longwave/inspect/number_text.h"

namespace longwave::inspect {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--paper:#fcfcfb;--card:#fff;--ink:#1d2126;--quiet:#626b75;
--rule:#e3e6e9;--i1:#2461a6;--i2:#c0501f;--i3:#2c7a51;--i4:#7b4b9c;--i5:#a0700c;--i6:#11727f;
--faint:#8a929b;--spread:#b9cce3}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--card:#1b1f23;--ink:#e4e7ea;
--quiet:#98a1aa;--rule:#2d333a;--i1:#6fa8e6;--i2:#ee8a57;--i3:#6cc493;--i4:#bd8fdd;--i5:#d9ac4f;
--i6:#58bccb;--faint:#7d8791;--spread:#34506f}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:27px;line-height:1.25;margin:0 0 6px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:19px;margin:44px 0 4px;padding-top:20px;border-top:1px solid var(--rule)}
p{margin:0 0 12px}.lead,.facts,footer{color:var(--quiet)}
dl{display:flex;flex-wrap:wrap;gap:10px 40px;margin:22px 0 0}
dt{font-size:12.5px;color:var(--quiet)}dd{margin:0;font-size:22px;font-weight:600;
font-variant-numeric:tabular-nums}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:16px;
margin-top:14px}
figure{margin:0;padding:14px 14px 10px;background:var(--card);border:1px solid var(--rule);
border-radius:8px;display:flex;flex-direction:column}
figcaption{font-size:13px;line-height:1.45;color:var(--quiet);margin-bottom:8px}
figcaption b{color:var(--ink);font-weight:600}
.plot{display:block;max-width:100%;height:auto;margin:0 auto}
.legend{font-size:12px;color:var(--quiet);margin:6px 0 0}
.key{white-space:nowrap;margin-right:10px}
.key::before{content:"";display:inline-block;width:10px;height:10px;border-radius:2px;
margin-right:5px;vertical-align:-1px;background:currentColor}
.key.i1::before{color:var(--i1)}.key.i2::before{color:var(--i2)}.key.i3::before{color:var(--i3)}
.key.i4::before{color:var(--i4)}.key.i5::before{color:var(--i5)}.key.i6::before{color:var(--i6)}
.key.faint::before{color:var(--faint)}.key.spread::before{color:var(--spread)}
.grid path{stroke:var(--rule);fill:none;shape-rendering:crispEdges}
.plot text{fill:var(--quiet);font:11px system-ui,sans-serif;text-anchor:middle;
font-variant-numeric:tabular-nums}.plot text.left{text-anchor:end}
.line{fill:none;stroke-width:1.3;stroke-linejoin:round}.area{stroke:none}.dots{stroke:none}
.line.i1{stroke:var(--i1)}.line.i2{stroke:var(--i2)}.line.i3{stroke:var(--i3)}
.line.i4{stroke:var(--i4)}.line.i5{stroke:var(--i5)}.line.i6{stroke:var(--i6)}
.line.faint{stroke:var(--faint)}.line.spread{stroke:var(--spread)}
.i1{fill:var(--i1)}.i2{fill:var(--i2)}.i3{fill:var(--i3)}.i4{fill:var(--i4)}.i5{fill:var(--i5)}
.i6{fill:var(--i6)}.faint{fill:var(--faint)}.spread{fill:var(--spread)}
.plot .line{fill:none}.area.spread{opacity:.75}
.wide{overflow-x:auto;margin-top:14px}
table{border-collapse:collapse;font-size:13px;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:5px 12px;border-bottom:1px solid var(--rule);white-space:nowrap}
th{color:var(--quiet);font-weight:500}th:first-child,td:first-child{text-align:left}
td:first-child{font-family:ui-monospace,monospace;font-size:12.5px}
footer{margin-top:44px;font-size:13px}
)";

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
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n",
      escape_markup(context.title), kStyle);
  html += header(analysis, context);
  html += training_section(context.curves);
  for (const LayerAnalysis& layer : analysis.layers) html += layer_section(layer);
  html += parameter_table(analysis.table);
  return html + fmt::format("<footer>{}</footer>\n</main>\n</body>\n</html>\n",
                            escape_markup(context.made_by));
}

}  // namespace longwave::inspect
