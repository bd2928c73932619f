// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/run.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/process_memory.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/config_file.h"
#include "longwave/models/fit_width.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/recipe.h"
#include "longwave/train/arithmetic.h"
#include "longwave/train/bundle.h"
#include "longwave/train/checkpoint.h"
#include "longwave/train/process.h"
#include "longwave/train/run_log.h"
#include "longwave/train/samples.h"
#include "longwave/train/signals.h"

namespace longwave::train {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The folder of a fresh run must be new: nothing that exists is written over.
void make_run_folder(const Job& job) {
  std::error_code error;
  if (fs::exists(job.folder / "checkpoints", error) || fs::exists(job.folder / "log.txt", error)) {
    throw IoError({.where = job.folder.string(),
                   .what = "holds a run already",
                   .got = {},
                   .fix = "go on with --resume " + job.folder.string() +
                          ", or choose another folder with --out"});
  }
  fs::create_directories(job.folder, error);
  if (error) {
    throw IoError({.where = job.folder.string(),
                   .what = "the run folder cannot be made",
                   .got = error.message(),
                   .fix = "choose another folder with --out"});
  }
  // Short names for the commands that want a model folder.
  for (const char* name : {"best", "latest"}) {
    fs::create_symlink(fs::path("checkpoints") / name, job.folder / name, error);
  }
  Record facts = job.facts;
  for (auto& fact : environment()) facts.push_back(std::move(fact));
  facts.emplace_back("seed", job.recipe.integer("seed"));
  io::write_file_atomically(job.folder / "config.toml", job.recipe_text);
  io::write_file_atomically(job.folder / "resolved.toml", io::to_toml(job.recipe));
  io::write_file_atomically(job.folder / "env.json", json_line(facts) + "\n");
}

/// One session of a run: everything that lives as long as the process trains.
class Session {
 public:
  Session(const Job& job, Talk& talk)
      : train_(job.recipe.section("train")),
        talk_(talk),
        trainer_(job.recipe),
        store_(job.folder / "checkpoints", {.last = train_.integer("keep_last"),
                                            .every = train_.integer("keep_every"),
                                            .best = train_.integer("keep_best")}),
        folder_(job.folder),
        before_step_(job.before_step),
        metric_(runtime::deciding_metric(trainer_.info())) {
    const data::Source& source = data::source(job.recipe.text("data.source"));
    source_options_ = job.recipe.section(source.name);
    validation_ = open(data::Split::kValidation);
    if (job.start == Job::Start::kResume) {
      restore();
    } else if (const std::string& from = train_.text("init_from"); !from.empty()) {
      trainer_.load(runtime::load_model_folder(from).weights);
      talk_.say("weights of " + from);
    }
    log_ = std::make_unique<RunLog>(folder_, trainer_.counters().step);
  }

  Outcome train();

 private:
  std::unique_ptr<data::Dataset> open(data::Split split) const {
    const Options& recipe = trainer_.recipe();
    return data::source(recipe.text("data.source"))
        .open(source_options_, split, static_cast<uint64_t>(recipe.integer("seed")));
  }

  void restore();
  void greet();

  /// What a step came to; after kRolledBack the run stands at an earlier step.
  enum class Move : uint8_t { kStepped, kRolledBack };
  Move one_step();
  void report(const Trainer::Step& step);
  void leave_bundle(const Diverged& error);
  void roll_back(const Diverged& error);
  void validate();

  /// Rollbacks and resumed runs must agree on where to go back to, so only checkpoints that the
  /// recipe asks for count, not those that a signal did.
  enum class Reason : uint8_t { kRecipe, kSignal };
  void checkpoint(Reason reason);
  void log_evaluation(const std::string& split, const runtime::Evaluation& evaluation);
  void test(Outcome& outcome);

  bool can_roll_back() const { return train_.text("on_divergence") == "rollback"; }
  bool due(int64_t every) const {
    const int64_t step = trainer_.counters().step;
    return step % every == 0 || step == trainer_.total_steps();
  }
  double epoch() const {
    return static_cast<double>(trainer_.counters().step) /
           static_cast<double>(trainer_.steps_per_epoch());
  }

  Options train_;
  Options source_options_;
  Talk& talk_;
  Trainer trainer_;
  CheckpointStore store_;
  fs::path folder_;
  std::function<void(Trainer&)> before_step_;
  std::string metric_;
  std::unique_ptr<data::Dataset> validation_;
  std::unique_ptr<RunLog> log_;
  double operations_ = operations_a_time_step(trainer_.model().config());
  double attainable_ = attainable_speed(trainer_.device(), trainer_.precision());
  Clock::time_point start_ = Clock::now();
  int64_t taken_ = 0;  ///< steps of this session
  int64_t saved_step_ = -1;
  bool is_best_ = false;
  std::optional<double> cost_;  ///< of the step, if it was judged; smaller is better
};

void Session::restore() {
  const auto step = store_.newest_whole([this](const fs::path& path, const std::string& wrong) {
    talk_.say(fmt::format("passing over {}: {}", path.string(), wrong));
  });
  if (!step) {
    throw IoError({.where = folder_.string(),
                   .what = "there is no whole checkpoint to resume from",
                   .got = {},
                   .fix = "start the run anew in another folder"});
  }
  trainer_.restore(store_.path(*step));
  saved_step_ = *step;
  if (can_roll_back()) store_.pin(trainer_.counters().anchor);
  talk_.say(fmt::format("resumed from {}", store_.path(*step).string()));
}

void Session::greet() {
  const int64_t parameters = models::trained_count(trainer_.model().table());
  talk_.say(fmt::format(
      "{}: {} sequences of up to {} steps; model {} with {} parameters; {} steps, {} an epoch; "
      "seed {}; {} threads",
      trainer_.recipe().text("data.source"), trainer_.dataset().size(), trainer_.info().length,
      trainer_.recipe().text("model.pattern"), short_count(static_cast<double>(parameters)),
      trainer_.total_steps(), trainer_.steps_per_epoch(), trainer_.recipe().integer("seed"),
      at::get_num_threads()));
}

void Session::report(const Trainer::Step& step) {
  const Counters& counters = trainer_.counters();
  const double elapsed = seconds_since(start_);
  const auto done = static_cast<double>(taken_);
  const double rate = static_cast<double>(step.time_steps) * done / elapsed;
  const double utilisation = rate * operations_ / attainable_;
  const bool was_dropped = step.update == Trainer::Step::Update::kDropped;
  if (due(train_.integer("log_every")) || was_dropped) {
    Record record{{"step", counters.step},
                  {"epoch", epoch()},
                  {"split", std::string("train")},
                  {"loss", step.loss},
                  {"ema", counters.ema},
                  {"gradient_norm", step.gradient_norm},
                  {"lr", step.lr},
                  {"samples_per_second", rate},
                  {"utilisation", utilisation},
                  {"seconds", counters.seconds}};
    if (step.loss_z) record.emplace_back("loss_z", *step.loss_z);
    if (step.gradient_norm_z) record.emplace_back("gradient_norm_z", *step.gradient_norm_z);
    if (counters.dropped > 0) record.emplace_back("dropped", counters.dropped);
    log_->append(record);
  }
  if (!step.note.empty()) talk_.say(step.note);
  if (was_dropped) {
    talk_.say(fmt::format("step {}: loss {}, gradient norm {}: its update is dropped ({} so far)",
                          counters.step, step.loss, step.gradient_norm, counters.dropped));
  }
  const bool tokens = trainer_.info().input == data::TaskInfo::Input::kTokens;
  const auto left = static_cast<double>(trainer_.total_steps() - counters.step);
  talk_.progress({.step = counters.step,
                  .steps = trainer_.total_steps(),
                  .loss = step.loss,
                  .ema = counters.ema,
                  .gradient_norm = step.gradient_norm,
                  .lr = step.lr,
                  .rate = rate,
                  .unit = tokens ? "tok" : "samples",
                  .utilisation = utilisation,
                  .memory = resident_bytes(),
                  .eta = left * elapsed / done,
                  .dropped = counters.dropped});
}

Session::Move Session::one_step() {
  if (before_step_) before_step_(trainer_);
  const Clock::time_point start = Clock::now();
  Trainer::Step step;
  try {
    step = trainer_.step();
  } catch (const Diverged& error) {
    leave_bundle(error);
    const Counters& counters = trainer_.counters();
    const bool may = can_roll_back() && counters.dropped_in_row < train_.integer("max_skips");
    if (!may || !damage(store_.path(counters.anchor)).empty()) throw;
    roll_back(error);
    return Move::kRolledBack;
  }
  trainer_.counters().seconds += seconds_since(start);
  ++taken_;
  report(step);
  return Move::kStepped;
}

void Session::leave_bundle(const Diverged& error) {
  talk_.say(error.what());
  write_bundle(folder_ / "diverged", trainer_, error.report());
  talk_.say(
      fmt::format("the batch and weights of that step are in {}; repeat it with "
                  "longwave train --replay {}",
                  (folder_ / "diverged").string(), folder_.string()));
}

void Session::roll_back(const Diverged& error) {
  const int64_t bad = trainer_.counters().step;
  trainer_.go_back(store_.path(trainer_.counters().anchor));
  const Counters& counters = trainer_.counters();
  log_ = std::make_unique<RunLog>(folder_, counters.step);
  log_->append({{"step", counters.step},
                {"epoch", epoch()},
                {"split", std::string("rollback")},
                {"from", bad},
                {"what", error.report().what},
                {"got", error.report().got},
                {"dropped", counters.dropped}});
  talk_.say(
      fmt::format("back from step {} to step {}, and on with the data after that batch ({} "
                  "so far)",
                  bad, counters.step, counters.dropped));
}

void Session::log_evaluation(const std::string& split, const runtime::Evaluation& evaluation) {
  Record record{{"step", trainer_.counters().step}, {"epoch", epoch()}, {"split", split}};
  std::string line = fmt::format("{} after step {}:", split, trainer_.counters().step);
  for (const auto& [name, value] : evaluation.metrics) {
    record.emplace_back(name, value);
    line += fmt::format("  {} {:.4g}", name, value);
  }
  record.emplace_back("samples_per_second",
                      static_cast<double>(evaluation.steps) / evaluation.seconds);
  record.emplace_back("seconds", trainer_.counters().seconds);
  log_->append(record);
  talk_.say(fmt::format("{}  ({} sequences, {})", line, evaluation.examples,
                        short_time(evaluation.seconds)));
}

void Session::validate() {
  if (validation_ == nullptr || validation_->size() == 0) return;
  const int64_t limit = train_.integer("eval_examples");
  const models::SequenceModel network(trainer_.model().config(), trainer_.model().weights());
  const runtime::Evaluation evaluation = runtime::evaluate(
      network, *validation_, limit > 0 ? limit : std::numeric_limits<int64_t>::max());
  log_evaluation("validation", evaluation);
  Counters& counters = trainer_.counters();
  const double value = evaluation.metric(metric_);
  const bool better =
      runtime::smaller_is_better(metric_) ? value < counters.best : value > counters.best;
  cost_ = runtime::smaller_is_better(metric_) ? value : -value;
  if (better || std::isnan(counters.best)) {
    counters.best = value;
    counters.best_step = counters.step;
    is_best_ = true;
  }
}

void Session::checkpoint(Reason reason) {
  const int64_t step = trainer_.counters().step;
  if (reason == Reason::kRecipe) {
    trainer_.counters().anchor = step;
    if (can_roll_back()) {
      trainer_.counters().dropped_in_row = 0;
      store_.pin(step);
    }
  }
  int64_t floats = 0;
  for (const Parameter& parameter : trainer_.model().table()) {
    floats += element_count(parameter.shape);
  }
  // Weights and two moments, four bytes each.
  const int64_t bytes = floats * 3 * 4;
  const bool judged = validation_ != nullptr && validation_->size() > 0;
  // Without validation the newest is the best that is known.
  const auto rank =
      is_best_ || !judged ? CheckpointStore::Rank::kBest : CheckpointStore::Rank::kOrdinary;
  store_.write(step, rank, bytes, [this, reason](const fs::path& path) {
    Record meta = trainer_.save(path);
    if (cost_ && reason == Reason::kRecipe) meta.emplace_back("cost", *cost_);
    return meta;
  });
  is_best_ = false;
  saved_step_ = step;
}

void Session::test(Outcome& outcome) {
  outcome.model = store_.path(store_.best().value_or(saved_step_));
  const std::unique_ptr<data::Dataset> dataset = open(data::Split::kTest);
  if (!train_.flag("test_at_end") || dataset == nullptr || dataset->size() == 0) return;
  const runtime::ModelFolder best = runtime::load_model_folder(outcome.model);
  const models::SequenceModel network(best.config, best.weights);
  outcome.test = runtime::evaluate(network, *dataset);
  log_evaluation("test", *outcome.test);
}

Outcome Session::train() {
  const Signals signals;
  const int64_t eval_every =
      train_.integer("eval_every") > 0 ? train_.integer("eval_every") : trainer_.steps_per_epoch();
  const int64_t save_every =
      train_.integer("checkpoint_every") > 0 ? train_.integer("checkpoint_every") : eval_every;
  greet();
  if (can_roll_back() && trainer_.counters().anchor < 0) checkpoint(Reason::kRecipe);
  start_ = Clock::now();
  Outcome outcome;
  while (trainer_.counters().step < trainer_.total_steps()) {
    const Move move = one_step();
    cost_.reset();
    if (move == Move::kStepped && due(eval_every)) {
      validate();
      write_samples(folder_, trainer_);
    }
    const Request request = Signals::take();
    const bool asked = move == Move::kStepped &&
                       (due(save_every) || is_best_ || (cost_ && store_.among_best(*cost_)));
    if (asked || request != Request::kNone) {
      checkpoint(asked ? Reason::kRecipe : Reason::kSignal);
    }
    if (request == Request::kLeave) {
      outcome.end = Outcome::End::kInterrupted;
      break;
    }
  }
  const Counters& counters = trainer_.counters();
  outcome.step = counters.step;
  outcome.train_seconds = counters.seconds;
  outcome.metric = metric_;
  outcome.best = counters.best;
  if (outcome.end == Outcome::End::kInterrupted) {
    outcome.model = store_.path(saved_step_);
    talk_.say(fmt::format("saved step {}; go on with longwave train --resume {}", counters.step,
                          folder_.string()));
  } else {
    test(outcome);
  }
  return outcome;
}

}  // namespace

Outcome run(const Job& job) {
  const Options train = job.recipe.section("train");
  precision_of(train, device_of(train));
  prepare_process(job.recipe.integer("train.threads"));
  if (job.start == Job::Start::kFresh) make_run_folder(job);
  Talk talk(job.write, job.screen, train.real("log_seconds"), job.folder / "log.txt");
  talk.say("run folder " + job.folder.string());
  return Session(job, talk).train();
}

Options recipe_of_run(const fs::path& folder) {
  return runtime::load_recipe(folder / "resolved.toml", {});
}

}  // namespace longwave::train
