// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "longwave/base/joined.h"
#include "longwave/inspect/comparison.h"
#include "longwave/inspect/number_text.h"
#include "longwave/models/fit_width.h"

namespace longwave::inspect {
namespace {

using Json = nlohmann::ordered_json;
using Cells = std::vector<std::string>;

constexpr std::string_view kUnknown = "–";

std::string table(const Cells& head, const std::vector<Cells>& rows) {
  std::string text = fmt::format("| {} |\n|---|", joined(head, " | "));
  for (size_t i = 1; i < head.size(); ++i) text += "---:|";
  text += '\n';
  for (const Cells& row : rows) text += fmt::format("| {} |\n", joined(row, " | "));
  return text + '\n';
}

std::string number(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : std::string(kUnknown);
}

/// A pattern may hold the sign that parts cells.
std::string in_cell(const std::string& text) {
  std::string cell;
  for (const char letter : text) {
    if (letter == '|') cell += '\\';
    cell += letter;
  }
  return cell;
}

/// The names of the test metrics that any model has.
Cells metric_names(const Comparison& comparison) {
  Cells names;
  for (const ComparedModel& model : comparison.models) {
    if (!model.quality) continue;
    for (const auto& [name, value] : model.quality->test) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::string metric(const ComparedModel& model, const std::string& name) {
  if (!model.quality) return std::string(kUnknown);
  const auto found =
      std::ranges::find(model.quality->test, name, &std::pair<std::string, double>::first);
  if (found == model.quality->test.end()) {
    return model.quality->end == "finished" ? std::string(kUnknown) : model.quality->end;
  }
  return number(found->second, 4);
}

std::string quality_table(const Comparison& comparison) {
  Cells head = {"mixer", "layers", "d_model", "parameters", "off the budget"};
  const Cells metrics = metric_names(comparison);
  for (const std::string& name : metrics) head.push_back("test " + name);
  head.insert(head.end(), {"training step, ms", "memory of a training step", "training, s"});
  std::vector<Cells> rows;
  for (const ComparedModel& model : comparison.models) {
    const double deviation =
        models::FittedWidth{.config = {}, .parameters = model.parameters}.deviation(
            comparison.budget);
    Cells row = {in_cell(model.name), in_cell(model.pattern), std::to_string(model.d_model),
                 thousands(model.parameters), fmt::format("{:+.1f} %", 100 * deviation)};
    for (const std::string& name : metrics) row.push_back(metric(model, name));
    const auto& step = model.training_step;
    row.push_back(step ? number(1e3 * step->seconds, 1) : std::string(kUnknown));
    row.push_back(step ? byte_text(step->added_bytes) : std::string(kUnknown));
    row.push_back(model.quality ? number(model.quality->seconds, 1) : std::string(kUnknown));
    rows.push_back(std::move(row));
  }
  return table(head, rows);
}

std::string exponents(double all, double last, double theory) {
  return fmt::format("{} ({}; {:.0f})", number(all, 2), number(last, 2), theory);
}

std::string growth_table(const Comparison& comparison) {
  std::vector<Cells> rows;
  for (const ComparedModel& model : comparison.models) {
    const Growth all = measured_growth(model);
    const Growth last = final_growth(model);
    const Growth theory = growth_in_theory(model.pattern);
    rows.push_back({in_cell(model.name),
                    exponents(all.training_time, last.training_time, theory.training_time),
                    exponents(all.training_memory, last.training_memory, theory.training_memory),
                    exponents(all.prefill, last.prefill, theory.prefill),
                    exponents(all.step, last.step, theory.step),
                    exponents(all.state, last.state, theory.state)});
  }
  return table({"mixer", "training time", "training memory", "prefill time", "time of a step",
                "state in use"},
               rows);
}

std::string length_table(const Comparison& comparison) {
  std::vector<Cells> rows;
  for (const ComparedModel& model : comparison.models) {
    for (size_t i = 0; i < std::max(model.lengths.size(), model.training.size()); ++i) {
      Cells row = {in_cell(model.name)};
      const bool runs = i < model.lengths.size();
      const bool trains = i < model.training.size();
      row.push_back(thousands(runs ? model.lengths[i].length : model.training[i].time_steps));
      row.push_back(trains ? number(1e3 * model.training[i].seconds, 2) : std::string(kUnknown));
      row.push_back(trains ? byte_text(model.training[i].added_bytes) : std::string(kUnknown));
      if (runs) {
        const LengthCost& cost = model.lengths[i];
        row.push_back(number(1e6 / cost.speed(cost.prefill_median), 3));
        row.push_back(number(cost.step_p50, 2));
        row.push_back(number(cost.step_p99, 2));
        row.push_back(byte_text(cost.state_bytes_used));
        row.push_back(byte_text(cost.state_bytes));
      } else {
        row.insert(row.end(), 5, std::string(kUnknown));
      }
      rows.push_back(std::move(row));
    }
  }
  return table({"mixer", "length", "training, ms", "training memory", "prefill, us a step",
                "step p50, us", "step p99, us", "state in use", "state reserved"},
               rows);
}

/// JSON knows no NaN.
Json json_number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json json_of(const TrainingCost& cost) {
  return {{"time_steps", cost.time_steps},
          {"seconds", json_number(cost.seconds)},
          {"added_bytes", cost.added_bytes},
          {"peak_bytes", cost.peak_bytes}};
}

Json json_of(const LengthCost& cost) {
  return {{"length", cost.length},
          {"prefill_seconds", json_number(cost.prefill_median)},
          {"prefill_seconds_least", json_number(cost.prefill_least)},
          {"prefill_seconds_most", json_number(cost.prefill_most)},
          {"step_p50_us", json_number(cost.step_p50)},
          {"step_p99_us", json_number(cost.step_p99)},
          {"state_bytes_used", cost.state_bytes_used},
          {"state_bytes", cost.state_bytes},
          {"workspace_bytes", cost.workspace_bytes}};
}

Json json_of(const Growth& growth) {
  return {{"training_time", json_number(growth.training_time)},
          {"training_memory", json_number(growth.training_memory)},
          {"prefill_time", json_number(growth.prefill)},
          {"step_time", json_number(growth.step)},
          {"state_bytes", json_number(growth.state)}};
}

Json json_of(const TrainedQuality& quality) {
  Json json{{"end", quality.end}, {"steps", quality.steps}, {"seconds", quality.seconds}};
  for (const auto& [name, value] : quality.validation)
    json["validation"][name] = json_number(value);
  for (const auto& [name, value] : quality.test) json["test"][name] = json_number(value);
  return json;
}

Json json_of(const ComparedModel& model) {
  Json json{{"name", model.name},
            {"pattern", model.pattern},
            {"d_model", model.d_model},
            {"parameters", model.parameters}};
  if (model.training_step) json["training_step"] = json_of(*model.training_step);
  if (model.quality) json["quality"] = json_of(*model.quality);
  json["lengths"] = Json::array();
  for (const LengthCost& cost : model.lengths) json["lengths"].push_back(json_of(cost));
  json["training"] = Json::array();
  for (const TrainingCost& cost : model.training) json["training"].push_back(json_of(cost));
  json["growth"] = {{"measured", json_of(measured_growth(model))},
                    {"final", json_of(final_growth(model))},
                    {"theory", json_of(growth_in_theory(model.pattern))}};
  return json;
}

}  // namespace

std::string comparison_markdown(const Comparison& comparison) {
  std::string text = fmt::format(
      "# {}\n\nModels of about {} trained parameters each: the width is fitted, nothing else is, "
      "so "
      "that work per step differs. Same data, optimiser steps, and seed ({}).\n\n",
      comparison.recipe, thousands(comparison.budget), comparison.seed);
  for (const auto& [name, value] : comparison.facts) text += fmt::format("- {}: {}\n", name, value);
  text += "\n## Quality, and what training costs\n\n" + quality_table(comparison);
  text +=
      "A training step is timed on the recipe's batches in a process of its own (median of three); "
      "its memory is how far the steps raised the most that this process held. `training` is the "
      "time of all optimiser steps of the run.\n\n";
  text += "## Growth with the length\n\n" + growth_table(comparison);
  text +=
      "Exponent e of cost ~ length^e: through all lengths (through the two longest; in theory). "
      "Constant work that every step costs hides growth at short lengths. Attention looks at all "
      "positions here: its window is the longest length.\n\n";
  text += "## Cost by length\n\n" + length_table(comparison);
  text +=
      "One sequence. Training is forward and backward in a process of its own; its memory is "
      "beyond that of a sequence of 16 steps. A step is timed "
      "after "
      "a prefill of that length. State in use counts the numbers that are not zero then.\n";
  return text;
}

std::string comparison_json(const Comparison& comparison) {
  Json json{{"recipe", comparison.recipe},
            {"equal", "parameters"},
            {"budget", comparison.budget},
            {"seed", comparison.seed},
            {"lengths", comparison.lengths}};
  for (const auto& [name, value] : comparison.facts) json["facts"][name] = value;
  json["models"] = Json::array();
  for (const ComparedModel& model : comparison.models) json["models"].push_back(json_of(model));
  return json.dump(2) + "\n";
}

}  // namespace longwave::inspect
