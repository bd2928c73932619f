// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iterator>

#include "longwave/cli/commands.h"
#include "longwave/cli/sample_reader.h"
#include "longwave/inspect/number_text.h"
#include "longwave/runtime/session.h"

namespace longwave::cli {
namespace {

using runtime::Session;

SampleReader::Format input_format(const Options& options) {
  return options.text("format") == "f32" ? SampleReader::Format::kFloat32
                                         : SampleReader::Format::kText;
}

/// Writes answers as lines of numbers, JSON arrays, or raw float32.
class AnswerWriter {
 public:
  explicit AnswerWriter(const Call& call)
      : out_(call.console.out),
        form_(call.json()                            ? Form::kJson
              : call.options.text("format") == "f32" ? Form::kRaw
                                                     : Form::kText) {}

  void write(std::span<const float> answer) {
    if (form_ == Form::kRaw) {
      out_.write(reinterpret_cast<const char*>(answer.data()),
                 static_cast<std::streamsize>(answer.size_bytes()));
      return;
    }
    line_.clear();
    const char* between = form_ == Form::kJson ? ", " : " ";
    for (const float value : answer) {
      if (!line_.empty()) line_ += between;
      fmt::format_to(std::back_inserter(line_), "{:.9g}", value);
    }
    if (form_ == Form::kJson) out_ << '[';
    out_ << line_ << (form_ == Form::kJson ? "]\n" : "\n");
  }

  void flush() { out_.flush(); }

 private:
  enum class Form : uint8_t { kText, kJson, kRaw };
  std::ostream& out_;
  Form form_;
  std::string line_;
};

/// The token that a number stands for.
int64_t token_of(float value, int64_t vocabulary) {
  const bool in_range = value >= 0 && value < static_cast<float>(vocabulary);
  if (in_range && std::floor(value) == value) return static_cast<int64_t>(value);
  throw DataError({.where = "stdin",
                   .what = fmt::format("a token must be an integer from 0 to {}", vocabulary - 1),
                   .got = fmt::format("{}", value),
                   .fix = {}});
}

void check_streams(const models::SequenceModel& network, const std::string& path) {
  if (network.causal()) return;
  throw InvalidArgument({.where = path,
                         .what = "this model looks at later inputs and cannot stream",
                         .got = {},
                         .fix = "use longwave eval, or train with bidirectional = false"});
}

/// What a run of samples took, without the time spent waiting for them.
struct Tally {
  int64_t steps = 0;
  std::chrono::steady_clock::duration computing{};
};

/// Runs all samples through the session.
Tally run_samples(Call& call, const models::Interface& interface, Session& session) {
  const bool tokens = interface.input == models::Interface::Input::kTokens;
  const bool only_last = call.options.flag("last");
  SampleReader reader(call.console.in, input_format(call.options),
                      tokens ? 1 : interface.input_size);
  AnswerWriter writer(call);
  std::span<const float> answer;
  Tally tally;
  while (!call.console.closed()) {
    if (reader.would_wait()) writer.flush();
    const std::span<const float> sample = reader.next();
    if (sample.empty()) break;
    const auto begin = std::chrono::steady_clock::now();
    answer =
        tokens ? session.step(token_of(sample[0], interface.input_size)) : session.step(sample);
    tally.computing += std::chrono::steady_clock::now() - begin;
    ++tally.steps;
    if (!only_last) writer.write(answer);
  }
  if (only_last && tally.steps > 0) writer.write(answer);
  writer.flush();
  return tally;
}

ExitCode run_stream(Call& call) {
  const std::string& folder = call.words.at(0);
  const auto model = runtime::Model::load(folder, call.options.real("rate"));
  check_streams(model->network(), folder);
  Session session(model);
  const std::string& state_in = call.options.text("state_in");
  if (!state_in.empty()) session.restore(runtime::load_state(state_in));

  const models::Interface& interface = model->network().config().interface;
  const Tally tally = run_samples(call, interface, session);

  const std::string& state_out = call.options.text("state_out");
  if (!state_out.empty()) runtime::save_state(state_out, session.state());
  const int64_t bytes = model->network().state_size() * static_cast<int64_t>(sizeof(float));
  const double each = std::chrono::duration<double, std::micro>(tally.computing).count() /
                      static_cast<double>(std::max<int64_t>(tally.steps, 1));
  call.console.say(
      fmt::format("{} steps of {:.1f} us, position {}, state {}", inspect::thousands(tally.steps),
                  each, inspect::thousands(session.state().position), inspect::byte_text(bytes)));
  return ExitCode::kOk;
}

}  // namespace

Command stream_command() {
  return {
      .name = "stream",
      .summary = "Run a model on samples from stdin, one step at a time, in constant memory",
      .description =
          "Reads one step a line, writes one answer a line (so far, where the model gives one "
          "answer for a sequence), and flushes whenever it would have to wait for input. The state "
          "can be saved and taken up again: two halves with a state file between them give the "
          "same numbers as the whole.",
      .examples = {{"seq 0 0.01 1 | longwave stream runs/demo", "an answer for every sample"},
                   {"longwave data fashion_mnist --split test --example 0 | longwave stream "
                    "runs/demo --last",
                    "the answer after a whole test image, fed pixel by pixel"},
                   {"longwave stream runs/demo --state-out half.state < first.txt",
                    "stop in the middle, keep the state"},
                   {"longwave stream runs/demo --state-in half.state < second.txt", "and go on"},
                   {"sox in.wav -t f32 - | longwave stream runs/audio --format f32 > out.f32",
                    "raw numbers in and out"}},
      .positionals = {{.name = "MODEL",
                       .help = "run, or model folder (config.json, model.safetensors)"}},
      .flags = {{.option = {.key = "format",
                            .value = std::string("text"),
                            .help =
                                "text: numbers, one step a line; f32: raw little-endian float32",
                            .choices = {"text", "f32"}}},
                {.option = {.key = "last",
                            .value = false,
                            .help = "write the answer after the last sample only"}},
                {.option = {.key = "state_in",
                            .value = std::string(),
                            .help = "start from this state instead of zeros"},
                 .takes = "FILE"},
                {.option = {.key = "state_out",
                            .value = std::string(),
                            .help = "save the state here when the input ends"},
                 .takes = "FILE"},
                {.option = {.key = "rate",
                            .value = 1.0,
                            .help = "multiplies every step size: 2 for data sampled half as often "
                                    "as in training",
                            .least = 1e-6,
                            .most = 1e6}}},
      .run = run_stream,
  };
}

}  // namespace longwave::cli
