// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "longwave/base/joined.h"
#include "longwave/base/parallel.h"
#include "longwave/cli/build_facts.h"
#include "longwave/cli/child_process.h"
#include "longwave/cli/commands_torch.h"
#include "longwave/inspect/comparison.h"
#include "longwave/io/atomic_file.h"
#include "longwave/train/compare.h"
#include "longwave/train/process.h"
#include "longwave/train/training_cost.h"

namespace longwave::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// Apart by semicolons if there are any, else by commas; blanks around a word go.
std::vector<std::string> mixers_in(const std::string& list) {
  const char part = list.find(';') == std::string::npos ? ',' : ';';
  std::vector<std::string> words;
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(part, at), list.size());
    const std::string word = list.substr(at, end - at);
    const size_t first = word.find_first_not_of(' ');
    if (first == std::string::npos) {
      throw UsageError({.where = "--mixers",
                        .what = "there is an empty name",
                        .got = list,
                        .fix = "such as --mixers s4d,mamba"});
    }
    words.push_back(word.substr(first, word.find_last_not_of(' ') - first + 1));
    at = end + 1;
  }
  return words;
}

std::string fact_text(const train::Record& record, const std::string& name) {
  for (const auto& [key, value] : record) {
    if (key != name) continue;
    const std::string* text = std::get_if<std::string>(&value);
    return text != nullptr ? *text : std::string();
  }
  return {};
}

std::vector<std::pair<std::string, std::string>> facts_of(const Call& call) {
  const BuildFacts build = build_facts();
  const train::Record environment = train::environment();
  return {{"command", fmt::format("longwave compare {}", joined(call.arguments, " "))},
          {"processor", fact_text(environment, "processor")},
          {"threads", std::to_string(thread_count())},
          {"build", fmt::format("longwave {} {} {}, {}, {}", build.version, build.commit,
                                build.build_type, build.compiler, build.simd_used)},
          {"libtorch", fact_text(environment, "libtorch")}};
}

train::CompareJob::Measured from_json(const std::optional<std::string>& text,
                                      const char* added_bytes, const char* time_steps) {
  if (!text) return std::nullopt;
  const Json json = Json::parse(*text);
  return inspect::TrainingCost{.time_steps = json.at(time_steps),
                               .seconds = json.at("seconds_a_step"),
                               .added_bytes = json.at(added_bytes),
                               .peak_bytes = json.at("peak_bytes")};
}

void publish(const inspect::Comparison& comparison, const fs::path& folder,
             const std::string& made_by) {
  io::write_file_atomically(folder / "compare.md", inspect::comparison_markdown(comparison));
  io::write_file_atomically(folder / "compare.json", inspect::comparison_json(comparison));
  io::write_file_atomically(folder / "compare.html", inspect::comparison_html(comparison, made_by));
}

fs::path folder_of(const Call& call) {
  const std::string& out = call.options.text("out");
  if (!out.empty()) return out;
  const std::string base =
      fmt::format("runs/compare-{}", fs::path(call.words.front()).stem().string());
  fs::path folder = base;
  for (int number = 2; fs::exists(folder); ++number) folder = fmt::format("{}-{}", base, number);
  return folder;
}

train::CompareJob job_of(const Call& call) {
  using Screen = train::Talk::Screen;
  const std::string threads = std::to_string(call.options.integer("threads"));
  std::ostream& err = call.console.err;
  const bool quiet = call.console.quiet;
  train::CompareJob job{.recipe = call.words.front(),
                        .overrides = {call.words.begin() + 1, call.words.end()},
                        .mixers = mixers_in(call.options.text("mixers")),
                        .budget = call.options.integer("budget"),
                        .lengths = call.options.get<std::vector<int64_t>>("lengths"),
                        .prefills = call.options.integer("repeats"),
                        .threads = call.options.integer("threads"),
                        .training = call.options.flag("skip_training")
                                        ? train::CompareJob::Training::kSkip
                                        : train::CompareJob::Training::kRun,
                        .folder = folder_of(call),
                        .write =
                            [&err, quiet](std::string_view text) {
                              if (!quiet) err << text << std::flush;
                            },
                        .screen = quiet                          ? Screen::kSilent
                                  : call.console.err_is_terminal ? Screen::kTerminal
                                                                 : Screen::kPlain};
  for (const int64_t length : job.lengths) {
    if (length < 1) {
      throw UsageError({.where = "--lengths",
                        .what = "lengths must be at least 1",
                        .got = std::to_string(length),
                        .fix = {}});
    }
  }
  job.step_cost = [threads](const fs::path& recipe) {
    return from_json(
        run_self({"train", recipe.string(), "--dry-run", "--json", "--threads", threads}),
        "activation_bytes", "time_steps_a_step");
  };
  job.length_cost = [threads](const fs::path& model, int64_t length) {
    return from_json(run_self({"backward", model.string(), "--length", std::to_string(length),
                               "--threads", threads}),
                     "added_bytes", "time_steps");
  };
  return job;
}

}  // namespace

ExitCode run_compare(Call& call) {
  train::restart_with_fast_libraries();
  train::CompareJob job = job_of(call);
  job.facts = facts_of(call);
  job.run_facts = {{"command", job.facts.front().second},
                   {"folder", fs::current_path().string()},
                   {"longwave", build_facts().version},
                   {"commit", build_facts().commit}};
  const std::string made_by = fmt::format("longwave {} {}; {}", build_facts().version,
                                          build_facts().commit, job.facts.front().second);
  inspect::Comparison last;
  job.publish = [&](const inspect::Comparison& comparison) {
    last = comparison;
    publish(comparison, job.folder, made_by);
  };
  const train::Outcome::End end = train::compare(job);
  call.console.out << (call.json() ? inspect::comparison_json(last)
                                   : inspect::comparison_markdown(last));
  call.console.say("tables and plots are in " + (job.folder / "compare.html").string());
  return end == train::Outcome::End::kFinished ? ExitCode::kOk : ExitCode::kInterrupted;
}

ExitCode run_backward(Call& call) {
  train::restart_with_fast_libraries();
  train::prepare_process(call.options.integer("threads"));
  const inspect::TrainingCost cost = train::measure_training(
      runtime::load_model_folder(call.words.front()), call.options.integer("length"));
  call.console.out << Json{{"time_steps", cost.time_steps},
                           {"seconds_a_step", cost.seconds},
                           {"added_bytes", cost.added_bytes},
                           {"peak_bytes", cost.peak_bytes}}
                          .dump(2)
                   << '\n';
  return ExitCode::kOk;
}

}  // namespace longwave::cli
