// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/cli/build_facts.h"
#include "longwave/cli/commands.h"
#include "longwave/inspect/number_text.h"
#include "longwave/runtime/session.h"

namespace longwave::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double quantile_of(std::vector<double> values, double q) {
  const auto at = static_cast<size_t>(q * static_cast<double>(values.size() - 1) + 0.5);
  std::ranges::nth_element(values, values.begin() + static_cast<int64_t>(at));
  return values[at];
}

int64_t peak_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

/// Measurements at one length.
struct Row {
  int64_t length = 0;
  double prefill_median = 0, prefill_least = 0, prefill_most = 0;  ///< steps a second
  double step_p50 = 0, step_p99 = 0;                               ///< microseconds
  int64_t workspace = 0, peak = 0;                                 ///< bytes
};

/// A sequence of random samples or tokens.
struct Sequence {
  std::vector<float> values;
  std::vector<int64_t> tokens;
};

Sequence random_sequence(const models::Interface& interface, int64_t length) {
  Random random(1, stream_id("bench"));
  Sequence sequence;
  if (interface.input == models::Interface::Input::kTokens) {
    for (int64_t t = 0; t < length; ++t) {
      sequence.tokens.push_back(random.integer(interface.input_size));
    }
    return sequence;
  }
  sequence.values.resize(static_cast<size_t>(length * interface.input_size));
  for (float& value : sequence.values) value = static_cast<float>(random.normal());
  return sequence;
}

std::span<const float> run_prefill(runtime::Session& session, const Sequence& sequence) {
  session.reset();
  return sequence.tokens.empty() ? session.prefill(std::span<const float>(sequence.values))
                                 : session.prefill(std::span<const int64_t>(sequence.tokens));
}

std::span<const float> run_step(runtime::Session& session, const Sequence& sequence, int64_t t,
                                int64_t width) {
  if (!sequence.tokens.empty()) return session.step(sequence.tokens[static_cast<size_t>(t)]);
  return session.step(std::span(sequence.values)
                          .subspan(static_cast<size_t>(t * width), static_cast<size_t>(width)));
}

/// Refuses to time a model whose step and prefill disagree grossly or give no numbers.
void check_agrees(const runtime::Model& model, runtime::Session& session,
                  const models::Interface& interface) {
  constexpr int64_t kLength = 64;
  const Sequence sequence = random_sequence(interface, kLength);
  const std::span<const float> whole = run_prefill(session, sequence);
  const auto width = static_cast<size_t>(interface.output_size);
  const std::vector<float> expected(whole.end() - static_cast<int64_t>(width), whole.end());
  double scale = 0, worst = 0;
  for (const float value : expected) scale = std::max<double>(scale, std::abs(value));
  if (model.network().causal()) {
    session.reset();
    std::span<const float> got;
    for (int64_t t = 0; t < kLength; ++t)
      got = run_step(session, sequence, t, interface.input_size);
    for (size_t i = 0; i < width; ++i) {
      worst = std::max<double>(worst, std::abs(got[i] - expected[i]));
    }
  }
  if (std::isfinite(scale) && worst <= 1e-2 * scale + 1e-5) return;
  throw DataError({.where = "bench",
                   .what = "the model gives different answers step by step and at once",
                   .got = fmt::format("a difference of {:.3g} of {:.3g}", worst, scale),
                   .fix = "longwave verify MODEL shows where; wrong models are not timed"});
}

Row measure(const runtime::Model& model, runtime::Session& session,
            const models::Interface& interface, int64_t length, int64_t repeats) {
  const Sequence sequence = random_sequence(interface, length);
  Row row{.length = length};
  run_prefill(session, sequence);
  std::vector<double> speeds, latencies;
  for (int64_t r = 0; r < repeats; ++r) {
    const Clock::time_point begin = Clock::now();
    run_prefill(session, sequence);
    speeds.push_back(static_cast<double>(length) / seconds_since(begin));
  }
  row.prefill_median = quantile_of(speeds, 0.5);
  row.prefill_least = quantile_of(speeds, 0);
  row.prefill_most = quantile_of(speeds, 1);
  row.step_p50 = row.step_p99 = std::numeric_limits<double>::quiet_NaN();
  if (model.network().causal()) {
    // From the state after the whole sequence: what the memory of a long past costs.
    constexpr int64_t kMostSteps = 2000;
    for (int64_t t = 0; t < std::min(length, kMostSteps); ++t) {
      const Clock::time_point begin = Clock::now();
      run_step(session, sequence, t, interface.input_size);
      latencies.push_back(1e6 * seconds_since(begin));
    }
    row.step_p50 = quantile_of(latencies, 0.5);
    row.step_p99 = quantile_of(latencies, 0.99);
  }
  row.workspace = static_cast<int64_t>(model.network().workspace_bytes(1, length));
  row.peak = peak_bytes();
  return row;
}

void print_json(const std::string& path, int64_t state_bytes, const std::vector<Row>& rows,
                Console& console) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const Row& row : rows) {
    list.push_back({{"length", row.length},
                    {"prefill_steps_per_second", row.prefill_median},
                    {"prefill_least", row.prefill_least},
                    {"prefill_most", row.prefill_most},
                    {"step_p50_us", row.step_p50},
                    {"step_p99_us", row.step_p99},
                    {"workspace_bytes", row.workspace},
                    {"peak_bytes", row.peak}});
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

std::vector<std::string> cells_of(const Row& row) {
  return {fmt::format("{}", row.length),
          fmt::format("{:.0f}", row.prefill_median),
          fmt::format("{:.0f}", row.prefill_least),
          fmt::format("{:.0f}", row.prefill_most),
          fmt::format("{:.2f}", row.step_p50),
          fmt::format("{:.2f}", row.step_p99),
          fmt::format("{}", row.workspace),
          fmt::format("{}", row.peak)};
}

void print_table(const std::string& form, const std::vector<Row>& rows, std::ostream& out) {
  if (form == "csv") {
    out << fmt::format("{}\n", fmt::join(kColumns, ","));
    for (const Row& row : rows) out << fmt::format("{}\n", fmt::join(cells_of(row), ","));
  } else if (form == "md") {
    out << fmt::format("| {} |\n|", fmt::join(kColumns, " | "));
    for (size_t i = 0; i < std::size(kColumns); ++i) out << "---:|";
    out << '\n';
    for (const Row& row : rows) out << fmt::format("| {} |\n", fmt::join(cells_of(row), " | "));
  } else {
    for (const std::string_view column : kColumns) out << fmt::format("{:>16}", column);
    out << '\n';
    for (const Row& row : rows) {
      for (const std::string& cell : cells_of(row)) out << fmt::format("{:>16}", cell);
      out << '\n';
    }
  }
}

ExitCode run_bench(Call& call) {
  const auto model = runtime::Model::load(call.words.at(0));
  const models::Interface& interface = model->network().config().interface;
  runtime::Session session(model);
  check_agrees(*model, session, interface);
  std::vector<Row> rows;
  for (const int64_t length : call.options.get<std::vector<int64_t>>("lengths")) {
    if (length < 1) {
      throw UsageError({.where = "--lengths",
                        .what = "lengths must be at least 1",
                        .got = std::to_string(length),
                        .fix = {}});
    }
    call.console.say(fmt::format("length {} ...", inspect::thousands(length)));
    rows.push_back(measure(*model, session, interface, length, call.options.integer("repeats")));
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
