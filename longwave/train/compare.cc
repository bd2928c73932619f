// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/compare.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/joined.h"
#include "longwave/inspect/number_text.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/config_file.h"
#include "longwave/mixers/registry.h"
#include "longwave/models/fit_width.h"
#include "longwave/models/pattern.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/recipe.h"
#include "longwave/train/process.h"
#include "longwave/train/signals.h"

namespace longwave::train {
namespace {

namespace fs = std::filesystem;

/// Steps timed after a prefill: few beside its length, so that the length is what they show.
int64_t steps_after(int64_t length) {
  constexpr int64_t kLeast = 16, kMost = 256, kShare = 8;
  return std::clamp(length / kShare, kLeast, kMost);
}

/// The recipe's pattern with `word` for every layer, unless `word` is a pattern itself.
std::string pattern_for(const std::string& word, const std::string& recipe) {
  if (word.find_first_of(" *|()") != std::string::npos) return word;
  // Refuses a name that nobody has, with the nearest that somebody has.
  const std::string family(mixers::family(word).name);
  const size_t layers = models::parse_pattern(recipe).layers.size();
  const size_t rules = recipe.find('|');
  return fmt::format("{}*{}{}", family, layers,
                     rules == std::string::npos ? "" : " " + recipe.substr(rules));
}

/// A name for a folder: letters and digits, others as "_".
std::string folder_name(const std::string& word) {
  std::string name;
  for (const char letter : word) {
    name += std::isalnum(static_cast<unsigned char>(letter)) != 0 ? letter : '_';
  }
  return name;
}

/// Models of a comparison start fresh, in the widths that they are given.
void check_fresh(const Options& recipe) {
  const bool starts_fresh =
      recipe.text("train.init_from").empty() && recipe.integer("model.vocabulary") == 0;
  if (starts_fresh) return;
  throw ConfigError({.where = "longwave compare",
                     .what = "models are compared from fresh weights of fitted widths",
                     .got = "train.init_from or model.vocabulary in the recipe",
                     .fix = "leave them out"});
}

/// One model that takes part.
struct Entry {
  Options recipe;
  models::Config config;
  fs::path folder;
};

class Comparer {
 public:
  explicit Comparer(const CompareJob& job);

  Outcome::End run();

 private:
  Options recipe_with(const std::vector<std::string>& changes) const;
  void enter(const std::string& mixer, const std::string& recipe_pattern);
  void train(const Entry& entry, inspect::ComparedModel& model);
  bool measure_step(const Entry& entry, inspect::ComparedModel& model);
  bool measure_lengths(const Entry& entry, inspect::ComparedModel& model);
  void say(const std::string& text) const { job_.write(text + "\n"); }

  CompareJob job_;
  data::TaskInfo info_;
  inspect::Comparison comparison_;
  std::vector<Entry> entries_;
};

Comparer::Comparer(const CompareJob& job) : job_(job) {
  const Options recipe = recipe_with({});
  check_fresh(recipe);
  prepare_process(recipe.integer("train.threads"));
  comparison_ = {.recipe = fmt::format("{} {}", job.recipe.string(), joined(job.overrides, " ")),
                 .budget = job.budget,
                 .seed = recipe.integer("seed"),
                 .lengths = job.lengths,
                 .facts = job.facts,
                 .models = {}};
  if (job.overrides.empty()) comparison_.recipe.pop_back();
  const data::Source& source = data::source(recipe.text("data.source"));
  info_ = source
              .open(recipe.section(source.name), data::Split::kTrain,
                    static_cast<uint64_t>(comparison_.seed))
              ->info();
  if (job.budget == 0) {
    comparison_.budget = models::trained_count(
        models::parameters(models::make_config(interface_for(info_), recipe)));
  }
  for (const std::string& mixer : job.mixers) enter(mixer, recipe.text("model.pattern"));
}

Options Comparer::recipe_with(const std::vector<std::string>& changes) const {
  std::vector<std::string> overrides = job_.overrides;
  overrides.insert(overrides.end(), changes.begin(), changes.end());
  Options recipe = runtime::load_recipe(job_.recipe, overrides);
  if (job_.threads > 0) recipe.set("train.threads", job_.threads, "--threads");
  return recipe;
}

void Comparer::enter(const std::string& mixer, const std::string& recipe_pattern) {
  const std::string change = "model.pattern=" + pattern_for(mixer, recipe_pattern);
  const models::Config config = models::make_config(interface_for(info_), recipe_with({change}));
  const models::FittedWidth fitted = models::fit_width(config, comparison_.budget);
  const int64_t width = fitted.config.options.integer("model.d_model");
  Entry entry{.recipe = recipe_with({change, fmt::format("model.d_model={}", width)}),
              .config = fitted.config,
              .folder = job_.folder / folder_name(mixer)};
  if (std::ranges::find(entries_, entry.folder, &Entry::folder) != entries_.end()) {
    throw ConfigError({.where = "mixers",
                       .what = "two models would have the same name",
                       .got = mixer,
                       .fix = "name each once"});
  }
  comparison_.models.push_back({.name = mixer,
                                .pattern = entry.config.options.text("model.pattern"),
                                .d_model = width,
                                .parameters = fitted.parameters,
                                .training_step = {},
                                .quality = {},
                                .lengths = {},
                                .training = {}});
  say(fmt::format("{}: {} channels, {} parameters, {:+.1f} % off the budget of {}", mixer, width,
                  inspect::thousands(fitted.parameters), 100 * fitted.deviation(comparison_.budget),
                  inspect::thousands(comparison_.budget)));
  entries_.push_back(std::move(entry));
}

bool Comparer::measure_step(const Entry& entry, inspect::ComparedModel& model) {
  const Signals signals;
  const fs::path recipe = entry.folder / "recipe.toml";
  io::write_file_atomically(recipe, io::to_toml(entry.recipe));
  model.training_step = job_.step_cost(recipe);
  job_.publish(comparison_);
  return Signals::take() != Request::kLeave;
}

void Comparer::train(const Entry& entry, inspect::ComparedModel& model) {
  const Job job{.start = Job::Start::kFresh,
                .recipe = entry.recipe,
                .folder = entry.folder / "run",
                .recipe_text = io::to_toml(entry.recipe),
                .facts = job_.run_facts,
                .write = job_.write,
                .screen = job_.screen};
  inspect::TrainedQuality quality;
  try {
    const Outcome outcome = train::run(job);
    quality.end = outcome.end == Outcome::End::kFinished ? "finished" : "interrupted";
    quality.steps = outcome.step;
    quality.seconds = outcome.train_seconds;
    quality.validation = {{outcome.metric, outcome.best}};
    if (outcome.test) quality.test = outcome.test->metrics;
  } catch (const Diverged&) {
    quality.end = "diverged";
  }
  model.quality = std::move(quality);
  job_.publish(comparison_);
}

bool Comparer::measure_lengths(const Entry& entry, inspect::ComparedModel& model) {
  if (job_.lengths.empty()) return true;
  const Signals signals;
  models::Config config = entry.config;
  if (config.options.has("attention.window")) {
    const int64_t all = std::ranges::max(job_.lengths);
    config.options.set("attention.window", all, "compare");
  }
  const bool trained = model.quality && model.quality->end == "finished";
  const Weights weights = trained
                              ? runtime::load_model_folder(entry.folder / "run").weights
                              : weights_for(config, info_, static_cast<uint64_t>(comparison_.seed));
  const fs::path folder = entry.folder / "measured";
  runtime::save_model_folder(folder, config, weights);
  runtime::Session session(std::make_shared<const runtime::Model>(config, weights));
  inspect::check_step_equals_prefill(session, std::ranges::min(job_.lengths));
  for (const int64_t length : job_.lengths) {
    if (Signals::take() == Request::kLeave) return false;
    say(fmt::format("{}: length {}", model.name, inspect::thousands(length)));
    model.lengths.push_back(inspect::measure_length(
        session, {.length = length, .prefills = job_.prefills, .steps = steps_after(length)}));
    const CompareJob::Measured cost = job_.length_cost(folder, length);
    if (cost) model.training.push_back(*cost);
    job_.publish(comparison_);
  }
  return Signals::take() != Request::kLeave;
}

Outcome::End Comparer::run() {
  constexpr Outcome::End kInterrupted = Outcome::End::kInterrupted;
  std::error_code error;
  for (const Entry& entry : entries_) {
    if (!fs::create_directories(entry.folder, error)) {
      throw IoError({.where = entry.folder.string(),
                     .what = error ? "the folder cannot be made" : "is there already",
                     .got = error ? error.message() : "",
                     .fix = "choose another folder with --out"});
    }
  }
  job_.publish(comparison_);
  for (size_t i = 0; i < entries_.size(); ++i) {
    inspect::ComparedModel& model = comparison_.models[i];
    if (!measure_step(entries_[i], model)) return kInterrupted;
    if (job_.training == CompareJob::Training::kRun) {
      train(entries_[i], model);
      if (model.quality->end == "interrupted") return kInterrupted;
    }
    if (!measure_lengths(entries_[i], model)) return kInterrupted;
  }
  return Outcome::End::kFinished;
}

}  // namespace

Outcome::End compare(const CompareJob& job) { return Comparer(job).run(); }

}  // namespace longwave::train
