// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "longwave/base/joined.h"
#include "longwave/cli/commands.h"
#include "longwave/io/atomic_file.h"
#include "longwave/runtime/evaluate.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/recipe.h"
#include "longwave/runtime/run_folder.h"

namespace longwave::cli {
namespace {

namespace fs = std::filesystem;

data::Split split_of(const std::string& name) {
  if (name == "train") return data::Split::kTrain;
  return name == "validation" ? data::Split::kValidation : data::Split::kTest;
}

fs::path recipe_for(const Call& call, const fs::path& folder) {
  if (!call.options.text("recipe").empty()) return call.options.text("recipe");
  if (const auto found = runtime::find_recipe(folder)) return *found;
  throw ConfigError({.where = folder.string(),
                     .what = "the model does not lie in a run folder, so its data is not known",
                     .got = {},
                     .fix = "name the recipe with --recipe FILE"});
}

/// The data that a recipe names, and what to call it.
std::unique_ptr<data::Dataset> open_data(const Options& recipe, const std::string& split) {
  const data::Source& source = data::source(recipe.text("data.source"));
  return source.open(recipe.section(source.name), split_of(split),
                     static_cast<uint64_t>(recipe.integer("seed")));
}

void print(const runtime::Evaluation& evaluation, const fs::path& folder, const Call& call) {
  const std::string& split = call.options.text("split");
  const double rate = static_cast<double>(evaluation.steps) / evaluation.seconds;
  if (call.json()) {
    nlohmann::ordered_json json{{"model", folder.string()},        {"split", split},
                                {"examples", evaluation.examples}, {"steps", evaluation.steps},
                                {"seconds", evaluation.seconds},   {"steps_per_second", rate}};
    for (const auto& [name, value] : evaluation.metrics) json[name] = value;
    call.console.out << json.dump(2) << '\n';
    return;
  }
  for (const auto& [name, value] : evaluation.metrics) {
    call.console.out << fmt::format("{} {} {:.4f}\n", split, name, value);
  }
  call.console.out << fmt::format("{} sequences, {} steps in {:.1f} s, {:.0f} steps a second\n",
                                  evaluation.examples, evaluation.steps, evaluation.seconds, rate);
}

ExitCode run_eval(Call& call) {
  const fs::path folder = runtime::find_model_folder(call.words.front());
  const std::vector<std::string> overrides(call.words.begin() + 1, call.words.end());
  const Options recipe = runtime::load_recipe(recipe_for(call, folder), overrides);
  const runtime::ModelFolder model = runtime::load_model_folder(folder);
  const models::SequenceModel network(model.config, model.weights, call.options.real("rate"));
  const std::unique_ptr<data::Dataset> dataset = open_data(recipe, call.options.text("split"));
  const int64_t limit = call.options.integer("limit");
  call.console.say(fmt::format("{} on the {} split of {}", folder.string(),
                               call.options.text("split"), recipe.text("data.source")));
  const int64_t count = limit > 0 ? std::min(limit, dataset->size()) : dataset->size();
  const std::string& answers_file = call.options.text("answers");
  std::vector<std::string> answers(answers_file.empty() ? 0 : static_cast<size_t>(count));
  const auto keep = [&](int64_t index, std::span<const float> output) {
    std::string& line = answers[static_cast<size_t>(index)];
    for (const float value : output) {
      fmt::format_to(std::back_inserter(line), "{}{:.9g}", line.empty() ? "" : " ", value);
    }
    line += '\n';
  };
  const runtime::Evaluation evaluation =
      runtime::evaluate(network, *dataset, count, answers.empty() ? runtime::AnswerSink() : keep);
  if (!answers_file.empty()) {
    io::write_file_atomically(answers_file, joined(answers, ""));
  }
  print(evaluation, folder, call);
  return ExitCode::kOk;
}

}  // namespace

Command eval_command() {
  constexpr double kMany = 1e12;
  return {
      .name = "eval",
      .summary = "Measure a trained model on a data set",
      .description =
          "Runs the model of a run, or a model folder, over a split of its data and prints loss "
          "and the metrics of the task. Needs no libtorch; uses all threads.",
      .examples = {{"longwave eval runs/fashion_mnist_s4d", "accuracy on the test split"},
                   {"longwave eval runs/delay --split validation --limit 100", "a quick look"},
                   {"longwave eval model --recipe recipes/adding.toml adding.length=2000",
                    "a model that lies alone, on longer sequences"}},
      .positionals = {{.name = "MODEL", .help = "run folder or model folder"},
                      {.name = "KEY=VALUE",
                       .help = "overrides of the recipe, such as fashion_mnist.path=FOLDER",
                       .count = Positional::Count::kMany}},
      .flags = {{.option = {.key = "split",
                            .value = std::string("test"),
                            .help = "which part of the data",
                            .choices = {"train", "validation", "test"}},
                 .takes = "NAME"},
                {.option = {.key = "limit",
                            .value = int64_t{0},
                            .help = "sequences looked at; 0 = all",
                            .least = 0,
                            .most = kMany},
                 .takes = "COUNT"},
                {.option = {.key = "rate",
                            .value = 1.0,
                            .help = "multiplies every step size: 2 for data sampled half as often",
                            .least = 1e-6,
                            .most = 1e6},
                 .takes = "FACTOR"},
                {.option = {.key = "answers",
                            .value = std::string(),
                            .help = "write the model's answers here, an example a line, as "
                                    "`longwave stream --last` prints them"},
                 .takes = "FILE"},
                {.option = {.key = "recipe",
                            .value = std::string(),
                            .help = "recipe that names the data; found in the run folder if not "
                                    "given"},
                 .takes = "FILE"}},
      .run = run_eval,
  };
}

}  // namespace longwave::cli
