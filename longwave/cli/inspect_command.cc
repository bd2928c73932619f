// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "longwave/base/joined.h"
#include "longwave/cli/build_facts.h"
#include "longwave/cli/commands.h"
#include "longwave/inspect/report_html.h"
#include "longwave/inspect/report_text.h"
#include "longwave/io/atomic_file.h"
#include "longwave/runtime/model_folder.h"

namespace longwave::cli {
namespace {

namespace fs = std::filesystem;

void write_page(const Call& call, const inspect::ModelAnalysis& analysis, const std::string& path) {
  const std::string& folder = call.words.at(0);
  const std::string page = inspect::html_report(
      analysis, {.title = folder,
                 .made_by = fmt::format("Longwave {}: longwave inspect {}", build_facts().version,
                                        joined(call.arguments, " ")),
                 .curves = inspect::read_training_curves(inspect::find_metrics(folder))});
  io::write_file_atomically(path, page);
}

/// What is wrong with the numbers of a model, one line each.
std::vector<std::string> faults(const inspect::ModelAnalysis& analysis) {
  std::vector<std::string> lines;
  for (const inspect::ParameterFacts& row : analysis.table) {
    if (row.not_finite == 0) continue;
    lines.push_back(fmt::format("{}: {} numbers are not finite", row.name, row.not_finite));
  }
  for (const inspect::LayerAnalysis& layer : analysis.layers) {
    const auto unstable = std::ranges::count_if(
        layer.poles, [](const std::complex<double>& pole) { return !(std::abs(pole) < 1); });
    if (unstable == 0) continue;
    lines.push_back(fmt::format("layer {}: {} poles are not stable", layer.index, unstable));
  }
  return lines;
}

ExitCode run_inspect(Call& call) {
  const std::string& path = call.words.at(0);
  const runtime::ModelFolder folder = runtime::load_model_folder(path);
  const inspect::ModelAnalysis analysis =
      inspect::analyse(folder.config, folder.weights, call.options.real("rate"));
  const std::string& html = call.options.text("html");
  if (!html.empty()) {
    write_page(call, analysis, html);
    call.console.say("report written to " + html);
  }
  if (call.json()) {
    call.console.out << inspect::json_report(analysis, path) << '\n';
  } else if (html.empty()) {
    call.console.out << inspect::text_report(analysis, path);
  }
  if (!call.options.flag("check")) return ExitCode::kOk;
  const std::vector<std::string> wrong = faults(analysis);
  for (const std::string& line : wrong) call.console.err << line << '\n';
  return wrong.empty() ? ExitCode::kOk : ExitCode::kFailed;
}

}  // namespace

Command inspect_command() {
  return {
      .name = "inspect",
      .summary = "Show poles, time constants, Bode plots, responses and parameters of a model",
      .description =
          "Prints what every layer does to signals, computed in double precision, and a table of "
          "all parameters. With --html it writes one self-contained page with pictures instead, "
          "including the training curve if metrics.csv lies beside the model.",
      .examples = {{"longwave inspect runs/demo", "read it in the terminal"},
                   {"longwave inspect runs/demo --html report.html", "a page with pictures"},
                   {"longwave inspect runs/demo --json", "every pole, for a machine to read"},
                   {"longwave inspect runs/demo --check --quiet",
                    "exit status 1 if a number is not finite or a pole not stable"}},
      .positionals = {{.name = "MODEL",
                       .help = "run, or model folder (config.json, model.safetensors)"}},
      .flags = {{.option = {.key = "html",
                            .value = std::string(),
                            .help = "write the report as one HTML page"},
                 .takes = "FILE"},
                {.option = {.key = "rate",
                            .value = 1.0,
                            .help = "multiplies every step size, as for other sampling rates",
                            .least = 1e-6,
                            .most = 1e6}},
                {.option = {.key = "check",
                            .value = false,
                            .help = "fail if a number is not finite or a pole is not stable"}}},
      .run = run_inspect,
  };
}

}  // namespace longwave::cli
