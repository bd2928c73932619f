// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "longwave/base/joined.h"
#include "longwave/cli/build_facts.h"
#include "longwave/cli/commands_torch.h"
#include "longwave/runtime/init_from.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/recipe.h"
#include "longwave/train/dry_run.h"
#include "longwave/train/process.h"
#include "longwave/train/run.h"

namespace longwave::cli {
namespace {

namespace fs = std::filesystem;

/// The arguments, told apart: a recipe has no '=' in its name.
struct Words {
  std::string recipe;
  std::vector<std::string> overrides;
};

Words split(const std::vector<std::string>& words) {
  Words result;
  for (const std::string& word : words) {
    const bool is_override = word.find('=') != std::string::npos;
    if (!is_override && !result.recipe.empty()) {
      throw UsageError({.where = "longwave train",
                        .what = "one recipe at a time",
                        .got = result.recipe + " and " + word,
                        .fix = "overrides read key=value"});
    }
    if (is_override) {
      result.overrides.push_back(word);
    } else {
      result.recipe = word;
    }
  }
  return result;
}

std::string read_text(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// "runs/delay", or "runs/delay-2" if that exists.
fs::path fresh_folder(const std::string& recipe) {
  const fs::path base = fs::path("runs") / fs::path(recipe).stem();
  fs::path folder = base;
  for (int number = 2; fs::exists(folder); ++number) {
    folder = fmt::format("{}-{}", base.string(), number);
  }
  return folder;
}

train::Record facts(const Call& call) {
  const BuildFacts build = build_facts();
  return {{"command", fmt::format("longwave train {}", joined(call.arguments, " "))},
          {"folder", fs::current_path().string()},
          {"longwave", build.version},
          {"commit", build.commit},
          {"build_type", build.build_type},
          {"compiler", build.compiler},
          {"simd", build.simd_used}};
}

Options fresh_recipe(const Words& words) {
  if (words.recipe.empty()) {
    throw UsageError({.where = "longwave train",
                      .what = "a recipe is needed",
                      .got = {},
                      .fix = "longwave train recipes/delay.toml, or --resume RUN"});
  }
  Options recipe = runtime::load_recipe(words.recipe, words.overrides);
  const std::string& from = recipe.text("train.init_from");
  if (from.empty()) return recipe;
  return runtime::with_model_of(recipe, runtime::load_model_folder(from).config);
}

/// The recipe of a run with overrides; they change what the run is, so they must be meant.
Options resumed_recipe(const fs::path& folder, const Words& words, const Call& call) {
  const Options before = train::recipe_of_run(folder);
  const Options after = runtime::load_recipe(folder / "resolved.toml", words.overrides);
  const std::vector<std::string> changes = runtime::differences(before, after);
  if (!changes.empty() && !call.options.flag("accept_changes")) {
    throw ConfigError({.where = folder.string(),
                       .what = "a resumed run would differ from the one that was started",
                       .got = joined(changes, "; "),
                       .fix = "leave the overrides out, or add --accept-changes"});
  }
  for (const std::string& change : changes) call.console.say("changed: " + change);
  return after;
}

void with_threads(Options& recipe, const Call& call) {
  const int64_t threads = call.options.integer("threads");
  if (threads > 0) recipe.set("train.threads", threads, "--threads");
}

ExitCode report(const train::Outcome& outcome, const fs::path& folder, const Call& call) {
  const bool finished = outcome.end == train::Outcome::End::kFinished;
  if (call.json()) {
    nlohmann::ordered_json json{{"finished", finished},
                                {"run", folder.string()},
                                {"model", outcome.model.string()},
                                {"step", outcome.step},
                                {"train_seconds", outcome.train_seconds},
                                {"validation", {{outcome.metric, outcome.best}}}};
    if (outcome.test) {
      for (const auto& [name, value] : outcome.test->metrics) json["test"][name] = value;
    }
    call.console.out << json.dump(2) << '\n';
  } else {
    call.console.out << fmt::format("model {}\n", outcome.model.string());
    call.console.out << fmt::format("trained {} steps in {:.1f} s\n", outcome.step,
                                    outcome.train_seconds);
    call.console.out << fmt::format("best validation {} {:.4g}\n", outcome.metric, outcome.best);
    if (outcome.test) {
      for (const auto& [name, value] : outcome.test->metrics) {
        call.console.out << fmt::format("test {} {:.4g}\n", name, value);
      }
    }
  }
  return finished ? ExitCode::kOk : ExitCode::kInterrupted;
}

ExitCode replay(const fs::path& folder, Call& call) {
  train::prepare_process(call.options.integer("threads"));
  train::replay(folder);
  call.console.out << "the step is finite this time\n";
  return ExitCode::kOk;
}

}  // namespace

ExitCode run_train(Call& call) {
  train::restart_with_fast_libraries();
  const Words words = split(call.words);
  const std::string& resume = call.options.text("resume");
  if (!call.options.text("replay").empty()) return replay(call.options.text("replay"), call);
  train::Job job;
  job.start = resume.empty() ? train::Job::Start::kFresh : train::Job::Start::kResume;
  job.recipe = resume.empty() ? fresh_recipe(words) : resumed_recipe(resume, words, call);
  with_threads(job.recipe, call);
  if (call.options.flag("dry_run")) {
    const train::Plan plan = train::dry_run(job.recipe);
    call.console.out << (call.json() ? train::to_json(plan) : train::to_text(plan));
    return ExitCode::kOk;
  }
  const std::string& out = call.options.text("out");
  job.folder = out.empty() ? fresh_folder(words.recipe) : fs::path(out);
  if (!resume.empty()) job.folder = resume;
  job.recipe_text = read_text(words.recipe);
  job.facts = facts(call);
  std::ostream& err = call.console.err;
  job.write = [&err](std::string_view text) { err << text << std::flush; };
  using Screen = train::Talk::Screen;
  job.screen = call.console.quiet             ? Screen::kSilent
               : call.console.err_is_terminal ? Screen::kTerminal
                                              : Screen::kPlain;
  return report(train::run(job), job.folder, call);
}

}  // namespace longwave::cli
