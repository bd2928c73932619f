// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/cli/bench_table.h"
#include "longwave/cli/build_facts.h"
#include "longwave/cli/commands.h"
#include "longwave/cli/state_flag.h"
#include "longwave/inspect/batch_speed.h"
#include "longwave/inspect/endurance.h"
#include "longwave/inspect/length_cost.h"
#include "longwave/inspect/number_text.h"
#include "longwave/runtime/session.h"

namespace longwave::cli {
namespace {

/// The numbers of a list option, each at least 1.
std::vector<int64_t> counts_of(const Call& call, const std::string& key) {
  const auto& counts = call.options.get<std::vector<int64_t>>(key);
  for (const int64_t count : counts) {
    if (count >= 1) continue;
    throw UsageError({.where = "--" + key,
                      .what = "each must be at least 1",
                      .got = std::to_string(count),
                      .fix = {}});
  }
  return counts;
}

BenchTable lengths_table(Call& call, runtime::Session& session) {
  constexpr int64_t kMostSteps = 2000;
  BenchTable table{.columns = {{"length", "length", 0},
                               {"prefill_steps_per_second", "prefill steps/s", 0},
                               {"prefill_least", "least", 0},
                               {"prefill_most", "most", 0},
                               {"step_p50_us", "step p50 us", 2},
                               {"step_p99_us", "step p99 us", 2},
                               {"workspace_bytes", "workspace bytes", 0},
                               {"peak_bytes", "peak bytes", 0}},
                   .rows = {}};
  for (const int64_t length : counts_of(call, "lengths")) {
    call.console.say(fmt::format("length {} ...", inspect::thousands(length)));
    const inspect::LengthCost cost =
        inspect::measure_length(session, {.length = length,
                                          .prefills = call.options.integer("repeats"),
                                          .steps = std::min(length, kMostSteps)});
    table.rows.push_back({static_cast<double>(length), cost.speed(cost.prefill_median),
                          cost.speed(cost.prefill_most), cost.speed(cost.prefill_least),
                          cost.step_p50, cost.step_p99, static_cast<double>(cost.workspace_bytes),
                          static_cast<double>(cost.peak_bytes)});
  }
  return table;
}

BenchTable batches_table(Call& call, const std::shared_ptr<const runtime::Model>& model) {
  BenchTable table{.columns = {{"batch", "batch", 0},
                               {"steps_per_second", "steps/s", 1},
                               {"least", "least", 1},
                               {"most", "most", 1},
                               {"step_us", "step us", 1},
                               {"state_bytes", "state bytes", 0},
                               {"peak_bytes", "peak bytes", 0},
                               {"memory_bytes_per_second", "memory bytes/s", 0}},
                   .rows = {}};
  for (const int64_t batch : counts_of(call, "batch")) {
    call.console.say(fmt::format("batch {} ...", batch));
    const inspect::BatchSpeed speed =
        inspect::measure_batch(model, {.batch = batch,
                                       .steps = call.options.integer("steps"),
                                       .repeats = call.options.integer("repeats"),
                                       .form = state_form_of(call.options)});
    table.rows.push_back({static_cast<double>(batch), speed.speed(speed.median),
                          speed.speed(speed.most), speed.speed(speed.least), 1e6 * speed.median,
                          static_cast<double>(speed.state_bytes),
                          static_cast<double>(speed.peak_bytes), speed.memory_speed});
  }
  return table;
}

BenchTable endurance_table(Call& call, runtime::Session& session) {
  const int64_t steps = call.options.integer("tokens");
  call.console.say(fmt::format("{} steps ...", inspect::thousands(steps)));
  BenchTable table{.columns = {{"steps", "steps", 0},
                               {"steps_per_second", "steps/s since", 1},
                               {"resident_bytes", "resident bytes", 0},
                               {"peak_bytes", "peak bytes", 0}},
                   .rows = {}};
  for (const inspect::Endurance& moment : inspect::measure_endurance(session, steps)) {
    table.rows.push_back(
        {static_cast<double>(moment.steps), static_cast<double>(moment.since) / moment.seconds,
         static_cast<double>(moment.resident_bytes), static_cast<double>(moment.peak_bytes)});
  }
  return table;
}

/// The table that the options ask for.
BenchTable measured(Call& call, const std::shared_ptr<const runtime::Model>& model,
                    runtime::Session& session) {
  if (call.options.integer("tokens") > 0) return endurance_table(call, session);
  if (!call.options.get<std::vector<int64_t>>("batch").empty()) return batches_table(call, model);
  return lengths_table(call, session);
}

ExitCode run_bench(Call& call) {
  constexpr int64_t kChecked = 64;
  const auto model = runtime::Model::load(call.words.at(0));
  const runtime::StateForm kept = state_form_of(call.options);
  runtime::Session exact(model), session(model, kept);
  inspect::check_step_equals_prefill(exact, kChecked);
  const BenchTable table = measured(call, model, session);
  const int64_t state = runtime::state_bytes(model->network(), kept);
  const std::string& form = call.options.text("output");
  if (call.json() || form == "json") {
    print_json(call.words.at(0), static_cast<double>(state), table, call.console.out);
    return ExitCode::kOk;
  }
  print_table(form, table, call.console.out);
  const BuildFacts facts = build_facts();
  call.console.say(fmt::format("state {} a sequence, kept as {}; {} threads, {}, {} {}",
                               inspect::byte_text(state), runtime::name_of(kept), thread_count(),
                               facts.simd_used, facts.version, facts.commit));
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
          "and the peak memory of the process so far. With --batch instead, for each number of "
          "sequences: the steps of single sequences in a second when all are moved on together, "
          "which reads the weights once a step, and what memory gives at most. With --tokens "
          "instead: speed and memory of the process along one stream, in which a language model is "
          "fed what it draws. --state rounds states after each call, which is timed. Loading is "
          "not timed. A model whose step and "
          "prefill disagree is refused.",
      .examples = {{"longwave bench runs/demo", "a table"},
                   {"longwave bench runs/demo --lengths 1000,100000,1000000 --output md",
                    "flat memory and cost per step up to a million steps, for a document"},
                   {"longwave bench model.gguf --batch 1,2,4,8", "what decoding together brings"},
                   {"longwave bench model.gguf --tokens 1000000",
                    "whether memory stays where it is for a million tokens"},
                   {"longwave bench runs/demo --threads 1 --json", "one thread, for a machine"}},
      .positionals = {{.name = "MODEL",
                       .help = "run, or model folder (config.json, model.safetensors)"}},
      .flags = {{.option = {.key = "lengths",
                            .value = std::vector<int64_t>{256, 1024, 4096, 16384},
                            .help = "steps of the sequences, apart by commas"},
                 .takes = "LIST"},
                {.option = {.key = "batch",
                            .value = std::vector<int64_t>{},
                            .help = "sequences that are decoded together, apart by commas"},
                 .takes = "LIST"},
                {.option = {.key = "tokens",
                            .value = int64_t{0},
                            .help = "steps of one stream whose memory is watched; 0 = no stream",
                            .least = 0,
                            .most = 1e12},
                 .takes = "COUNT"},
                {.option = {.key = "steps",
                            .value = int64_t{32},
                            .help = "steps of a run of a batch",
                            .least = 1,
                            .most = 1000000}},
                {.option = {.key = "repeats",
                            .value = int64_t{7},
                            .help = "prefills timed at each length, or runs of each batch",
                            .least = 1,
                            .most = 10000}},
                {.option = {.key = "output",
                            .value = std::string("text"),
                            .help = "form of the table",
                            .choices = {"text", "csv", "md", "json"}}},
                state_flag()},
      .run = run_bench,
  };
}

}  // namespace longwave::cli
