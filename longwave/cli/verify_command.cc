// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/verify_command.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "longwave/cli/commands.h"
#include "longwave/cli/hand_over.h"
#include "longwave/runtime/model_folder.h"

namespace longwave::cli {
namespace {

using inspect::Verification;
using inspect::ViewCheck;

void print_json(const std::string& model, const Verification& verification, Console& console) {
  using Json = nlohmann::ordered_json;
  Json checks = Json::array();
  for (const ViewCheck& check : verification.checks) {
    checks.push_back({{"subject", check.subject},
                      {"view", check.view},
                      {"against", check.against},
                      {"difference", check.difference},
                      {"bound", check.bound},
                      {"ratio", check.ratio},
                      {"step", check.step},
                      {"channel", check.channel},
                      {"ok", check.ok()}});
  }
  console.out << Json{{"model", model},
                      {"ok", verification.ok()},
                      {"length", verification.settings.length},
                      {"seed", verification.settings.seed},
                      {"checks", checks},
                      {"notes", verification.notes}}
                     .dump(2)
              << '\n';
}

void print_table(const Verification& verification, Console& console) {
  size_t width = 7;
  for (const ViewCheck& check : verification.checks) width = std::max(width, check.subject.size());
  console.out << fmt::format("{:<{}}  {:<11}  {:>10}  {:>10}  {:>9}  {}\n", "subject", width,
                             "view", "worst", "bound", "of bound", "result");
  for (const ViewCheck& check : verification.checks) {
    const std::string result =
        check.ok() ? console.mark(Emphasis::kGood, "ok")
                   : console.mark(Emphasis::kBad, "FAIL") +
                         fmt::format(" at step {}, channel {}", check.step, check.channel);
    const std::string ratio = check.ratio < 1000 ? fmt::format("{:.2f} %", 100 * check.ratio)
                                                 : fmt::format("{:.3g} x", check.ratio);
    console.out << fmt::format("{:<{}}  {:<11}  {:>10.3g}  {:>10.3g}  {:>9}  {}\n", check.subject,
                               width, check.view, check.difference, check.bound, ratio, result);
  }
  for (const std::string& note : verification.notes) console.out << "note: " << note << '\n';
  const auto failed = std::ranges::count_if(verification.checks,
                                            [](const ViewCheck& check) { return !check.ok(); });
  const size_t all = verification.checks.size();
  console.out << (failed == 0
                      ? fmt::format("all {} comparisons lie within their rounding bounds\n", all)
                      : fmt::format("{} of {} comparisons FAILED\n", failed, all));
}

ExitCode run_verify(Call& call) {
  const std::string& training = call.options.text("training");
  if (training != "no") hand_over(call);
  if (training == "yes") return run_in_torch_program(call);
  const runtime::ModelFolder folder = runtime::load_model_folder(call.words.at(0));
  return report_verification(
      call, inspect::verify(folder.config, folder.weights, call.options.real("rate"),
                            verify_settings(call.options), nullptr));
}

}  // namespace

inspect::VerifySettings verify_settings(const Options& options) {
  return {.length = options.integer("length"),
          .splits = options.integer("splits"),
          .seed = static_cast<uint64_t>(options.integer("seed"))};
}

ExitCode report_verification(Call& call, const Verification& verification) {
  if (call.json()) {
    print_json(call.words.at(0), verification, call.console);
  } else {
    print_table(verification, call.console);
  }
  return verification.ok() ? ExitCode::kOk : ExitCode::kFailed;
}

Command verify_command() {
  return {
      .name = "verify",
      .summary = "Prove that all forms of a model compute the same",
      .description =
          "Runs every layer step by step, in random pieces, at once, as a convolution and, where "
          "longwave-train is installed, in its training form, and compares each with a simulation "
          "in double precision. What may differ is computed: a running bound on rounding for each "
          "output of each layer. The whole model, which is not linear, is held against a bound "
          "estimated by perturbing weights and inputs. Exit status 1 if anything lies outside.",
      .examples = {{"longwave verify runs/demo", "a table of views and layers"},
                   {"longwave verify runs/demo --length 1021 --seed 7 --json",
                    "other data, for a machine to read"},
                   {"longwave verify runs/demo --training no", "without libtorch"}},
      .positionals = {{.name = "MODEL",
                       .help = "run, or model folder (config.json, model.safetensors)"}},
      .flags = {{.option = {.key = "length",
                            .value = int64_t{509},
                            .help = "steps of the random input",
                            .least = 1,
                            .most = 1 << 20}},
                {.option = {.key = "splits",
                            .value = int64_t{4},
                            .help = "random ways to cut the input in pieces",
                            .least = 1,
                            .most = 1000}},
                {.option = {.key = "seed",
                            .value = int64_t{1},
                            .help = "of the input and the pieces",
                            .least = 0}},
                {.option = {.key = "rate",
                            .value = 1.0,
                            .help = "multiplies every step size; other than 1 the training form is "
                                    "left out",
                            .least = 1e-6,
                            .most = 1e6}},
                {.option = {.key = "training",
                            .value = std::string("auto"),
                            .help =
                                "compare the training form: if longwave-train is there, always, "
                                "or never",
                            .choices = {"auto", "yes", "no"}}}},
      .run = run_verify,
  };
}

}  // namespace longwave::cli
