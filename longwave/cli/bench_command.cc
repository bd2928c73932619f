// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/cli/build_facts.h"
#include "longwave/cli/commands.h"
#include "longwave/inspect/length_cost.h"
#include "longwave/inspect/number_text.h"
#include "longwave/runtime/session.h"

namespace longwave::cli {
namespace {

using inspect::LengthCost;

void print_json(const std::string& path, int64_t state_bytes, const std::vector<LengthCost>& rows,
                Console& console) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const LengthCost& row : rows) {
    list.push_back({{"length", row.length},
                    {"prefill_steps_per_second", row.speed(row.prefill_median)},
                    {"prefill_least", row.speed(row.prefill_most)},
                    {"prefill_most", row.speed(row.prefill_least)},
                    {"step_p50_us", row.step_p50},
                    {"step_p99_us", row.step_p99},
                    {"workspace_bytes", row.workspace_bytes},
                    {"peak_bytes", row.peak_bytes}});
  }
  const BuildFacts facts = build_facts();
  console.out << Json{{"model", path},
                      {"version", facts.version},
                      {"commit", facts.commit},
                      {"simd", facts.simd_used},
                      {"threads", thread_count()},
                      {"state_bytes", state_bytes},
                      {"rows", list}}
                     .dump(2)
              << '\n';
}

constexpr std::string_view kColumns[] = {
    "length",      "prefill steps/s", "least",           "most",
    "step p50 us", "step p99 us",     "workspace bytes", "peak bytes"};

std::vector<std::string> cells_of(const LengthCost& row) {
  return {fmt::format("{}", row.length),
          fmt::format("{:.0f}", row.speed(row.prefill_median)),
          fmt::format("{:.0f}", row.speed(row.prefill_most)),
          fmt::format("{:.0f}", row.speed(row.prefill_least)),
          fmt::format("{:.2f}", row.step_p50),
          fmt::format("{:.2f}", row.step_p99),
          fmt::format("{}", row.workspace_bytes),
          fmt::format("{}", row.peak_bytes)};
}

void print_table(const std::string& form, const std::vector<LengthCost>& rows, std::ostream& out) {
  if (form == "csv") {
    out << fmt::format("{}\n", fmt::join(kColumns, ","));
    for (const LengthCost& row : rows) out << fmt::format("{}\n", fmt::join(cells_of(row), ","));
  } else if (form == "md") {
    out << fmt::format("| {} |\n|", fmt::join(kColumns, " | "));
    for (size_t i = 0; i < std::size(kColumns); ++i) out << "---:|";
    out << '\n';
    for (const LengthCost& row : rows)
      out << fmt::format("| {} |\n", fmt::join(cells_of(row), " | "));
  } else {
    for (const std::string_view column : kColumns) out << fmt::format("{:>16}", column);
    out << '\n';
    for (const LengthCost& row : rows) {
      for (const std::string& cell : cells_of(row)) out << fmt::format("{:>16}", cell);
      out << '\n';
    }
  }
}

ExitCode run_bench(Call& call) {
  constexpr int64_t kChecked = 64, kMostSteps = 2000;
  const auto model = runtime::Model::load(call.words.at(0));
  runtime::Session session(model);
  inspect::check_step_equals_prefill(session, kChecked);
  std::vector<LengthCost> rows;
  for (const int64_t length : call.options.get<std::vector<int64_t>>("lengths")) {
    if (length < 1) {
      throw UsageError({.where = "--lengths",
                        .what = "lengths must be at least 1",
                        .got = std::to_string(length),
                        .fix = {}});
    }
    call.console.say(fmt::format("length {} ...", inspect::thousands(length)));
    rows.push_back(inspect::measure_length(session, {.length = length,
                                                     .prefills = call.options.integer("repeats"),
                                                     .steps = std::min(length, kMostSteps)}));
  }
  const int64_t state = model->network().state_size() * static_cast<int64_t>(sizeof(float));
  const std::string& form = call.options.text("output");
  if (call.json() || form == "json") {
    print_json(call.words.at(0), state, rows, call.console);
    return ExitCode::kOk;
  }
  print_table(form, rows, call.console.out);
  const BuildFacts facts = build_facts();
  call.console.say(fmt::format("state {} a sequence; {} threads, {}, {} {}, batch 1",
                               inspect::byte_text(state), thread_count(), facts.simd_used,
                               facts.version, facts.commit));
  return ExitCode::kOk;
}

}  // namespace

Command bench_command() {
  return {
      .name = "bench",
      .summary = "Time a model: prefill throughput, step latency and memory over the length",
      .description =
          "For each length: the median, least and most of repeated prefills of one sequence; the "
          "median and 99th percentile of single steps that follow it; the workspace of the prefill "
          "and the peak memory of the process so far. Loading is not timed. A model whose step and "
          "prefill disagree is refused.",
      .examples = {{"longwave bench runs/demo", "a table"},
                   {"longwave bench runs/demo --lengths 1000,100000,1000000 --output md",
                    "flat memory and cost per step up to a million steps, for a document"},
                   {"longwave bench runs/demo --threads 1 --json", "one thread, for a machine"}},
      .positionals = {{.name = "MODEL",
                       .help = "run, or model folder (config.json, model.safetensors)"}},
      .flags = {{.option = {.key = "lengths",
                            .value = std::vector<int64_t>{256, 1024, 4096, 16384},
                            .help = "steps of the sequences, apart by commas"},
                 .takes = "LIST"},
                {.option = {.key = "repeats",
                            .value = int64_t{7},
                            .help = "prefills timed at each length",
                            .least = 1,
                            .most = 10000}},
                {.option = {.key = "output",
                            .value = std::string("text"),
                            .help = "form of the table",
                            .choices = {"text", "csv", "md", "json"}}}},
      .run = run_bench,
  };
}

}  // namespace longwave::cli
