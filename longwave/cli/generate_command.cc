// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/interrupt.h"
#include "longwave/cli/commands.h"
#include "longwave/cli/context_flag.h"
#include "longwave/cli/draft_flags.h"
#include "longwave/cli/sampler_flags.h"
#include "longwave/cli/state_flag.h"
#include "longwave/cli/token_list.h"
#include "longwave/runtime/draft.h"
#include "longwave/runtime/generate.h"
#include "longwave/runtime/model_folder.h"

namespace longwave::cli {
namespace {

using End = runtime::Generation::End;

enum class Form : uint8_t { kText, kIds, kJson };

Form form_of(const Call& call, const text::Tokenizer* tokenizer) {
  const std::string& format = call.options.text("format");
  if (call.json() || format == "json") return Form::kJson;
  if (format == "text" && tokenizer == nullptr) {
    throw DataError({.where = call.words.front(),
                     .what = "the model has no tokenizer and cannot answer in text",
                     .got = {},
                     .fix = "use --format ids"});
  }
  return format == "ids" || tokenizer == nullptr ? Form::kIds : Form::kText;
}

std::vector<int64_t> prompt_of(const Call& call, const text::Tokenizer* tokenizer) {
  const std::string& ids = call.options.text("ids");
  if (!ids.empty()) return token_list(ids, "--ids");
  if (tokenizer == nullptr) {
    throw DataError({.where = call.words.front(),
                     .what = "the model has no tokenizer and takes no text",
                     .got = {},
                     .fix = "give the prompt as numbers: --ids 5,17,3"});
  }
  return tokenizer->encode_prompt(call.options.text("prompt"));
}

/// A text, or a JSON list of texts.
std::vector<std::string> stops_of(const Call& call) {
  const std::string& stop = call.options.text("stop");
  if (stop.empty()) return {};
  if (!stop.starts_with("[\"")) return {stop};
  const auto json = nlohmann::json::parse(stop, nullptr, false);
  std::vector<std::string> stops;
  for (const auto& each : json) {
    if (!json.is_array() || !each.is_string()) return {stop};
    stops.push_back(each.get<std::string>());
  }
  return json.is_discarded() ? std::vector<std::string>{stop} : stops;
}

runtime::GenerateOptions options_of(const Call& call) {
  const Options& options = call.options;
  return {.sampler = sampler_of(options),
          .max_tokens = options.integer("max_tokens"),
          .stops = stops_of(call),
          .draft_tokens = options.integer("draft_tokens")};
}

std::string_view name_of(End end) {
  switch (end) {
    case End::kLength:
      return "length";
    case End::kStop:
      return "stop";
    case End::kSpecial:
      return "special";
    case End::kContext:
      return "context";
    default:
      return "interrupted";
  }
}

void print_json(const runtime::Generation& generation, const text::Tokenizer* tokenizer,
                const std::string& text, Console& console) {
  nlohmann::ordered_json json{{"ids", generation.ids}};
  if (tokenizer != nullptr) json["text"] = text;
  json["end"] = name_of(generation.end);
  if (generation.draft.passes > 0) {
    json["draft"] = {{"passes", generation.draft.passes},
                     {"proposed", generation.draft.proposed},
                     {"accepted", generation.draft.accepted}};
  }
  console.out << json.dump() << '\n';
}

/// The model that guesses ahead, if one is asked for.
std::unique_ptr<runtime::Session> draft_of(const Call& call, const text::Tokenizer* tokenizer) {
  const std::string& path = call.options.text("draft");
  if (path.empty()) return nullptr;
  return std::make_unique<runtime::Session>(runtime::load_draft(
      path, tokenizer, call.options.real("rate"), call.options.integer("context")));
}

ExitCode run_generate(Call& call) {
  const std::string& folder = call.words.at(0);
  const auto tokenizer = runtime::load_tokenizer(folder);
  const Form form = form_of(call, tokenizer.get());
  const std::vector<int64_t> prompt = prompt_of(call, tokenizer.get());
  runtime::Session session(
      runtime::Model::load(folder, call.options.real("rate"), call.options.integer("context")),
      state_form_of(call.options));
  const std::unique_ptr<runtime::Session> draft = draft_of(call, tokenizer.get());
  runtime::GenerateOptions options = options_of(call);
  options.draft = draft.get();
  const Interrupt interrupt;
  std::string text;
  const auto start = std::chrono::steady_clock::now();
  std::optional<std::chrono::steady_clock::time_point> first;
  const auto show = [&](int64_t id, std::string_view part) {
    if (!first) first = std::chrono::steady_clock::now();
    if (form == Form::kText && !part.empty()) call.console.out << part << std::flush;
    if (form == Form::kIds && id >= 0) call.console.out << id << '\n' << std::flush;
    if (form == Form::kJson) text += part;
    return !Interrupt::asked() && !call.console.closed();
  };
  const runtime::Generation generation =
      runtime::generate(session, tokenizer.get(), prompt, options, show);
  const auto end = std::chrono::steady_clock::now();
  if (form == Form::kText) call.console.out << '\n';
  if (form == Form::kJson) print_json(generation, tokenizer.get(), text, call.console);
  const double waited = std::chrono::duration<double>(first.value_or(end) - start).count();
  const double drawing = std::chrono::duration<double>(end - first.value_or(end)).count();
  const auto steps = static_cast<double>(generation.ids.size()) - 1;
  call.console.say(fmt::format(
      "prompt {} tokens in {:.3f} s; {} tokens, {:.0f} a second; ended by {}", prompt.size(),
      waited, generation.ids.size(), steps > 0 ? steps / drawing : 0.0, name_of(generation.end)));
  if (generation.draft.passes > 0) call.console.say(draft_line(generation));
  if (generation.end == End::kContext) {
    call.console.say(fmt::format("the context of {} tokens is full; --context gives more",
                                 session.state().position));
  }
  return Interrupt::asked() ? ExitCode::kInterrupted : ExitCode::kOk;
}

}  // namespace

Command generate_command() {
  std::vector<Flag> flags = {
      {.option = {.key = "prompt",
                  .value = std::string("\n"),
                  .help = "the text to go on with; a line end if not given"},
       .takes = "TEXT",
       .letter = 'p'},
      {.option = {.key = "ids",
                  .value = std::string(),
                  .help = "the prompt as numbers of tokens: 5,17,3"},
       .takes = "LIST"},
      {.option = {.key = "max_tokens",
                  .value = int64_t{256},
                  .help = "tokens to draw at most",
                  .least = 0,
                  .most = 1e12},
       .takes = "COUNT",
       .letter = 'n'},
      {.option = {.key = "stop",
                  .value = std::string(),
                  .help = "end before this text, or any of a JSON list of texts"},
       .takes = "TEXT"},
      {.option = {.key = "format",
                  .value = std::string("auto"),
                  .help = "text as it comes, ids one a line, or one JSON document at the end; auto "
                          "is text where the model has a tokenizer",
                  .choices = {"auto", "text", "ids", "json"}}}};
  for (Flag& flag : sampler_flags()) flags.push_back(std::move(flag));
  for (Flag& flag : draft_flags()) flags.push_back(std::move(flag));
  flags.push_back(context_flag());
  flags.push_back(state_flag());
  flags.push_back({.option = {.key = "rate",
                              .value = 1.0,
                              .help = "multiplies every step size of the model",
                              .least = 1e-6,
                              .most = 1e6}});
  return {
      .name = "generate",
      .summary = "Let a language model go on with a text",
      .description =
          "Reads the prompt in parallel, then draws one token after the other in constant memory "
          "and shows the text as it comes, never half a character. Needs no libtorch. Ctrl-C ends "
          "it politely.",
      .examples = {{"longwave generate runs/austen --prompt 'It was'", "256 tokens more"},
                   {"longwave generate runs/austen -t 0.7 --top-p 0.95 --seed 3 -n 1000",
                    "more certain, another seed, longer"},
                   {"longwave generate large.gguf --draft small.gguf -t 0",
                    "the same text, faster where the small model often guesses right"},
                   {"longwave generate runs/austen --stop $'\\n\\n'", "one paragraph"},
                   {"longwave generate runs/induction --ids 3,14,7,14 -n 1 -t 0 --format json",
                    "tokens that are no text"}},
      .positionals = {{.name = "MODEL", .help = "run folder or model folder"}},
      .flags = std::move(flags),
      .run = run_generate,
      .stray = "prompt",
  };
}

}  // namespace longwave::cli
