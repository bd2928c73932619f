// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numbers>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/interrupt.h"
#include "longwave/cli/commands.h"
#include "longwave/cli/context_flag.h"
#include "longwave/cli/state_flag.h"
#include "longwave/io/file.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/perplexity.h"

namespace longwave::cli {
namespace {

constexpr uint64_t kTextLimit = uint64_t{4} << 30;

struct Row {
  std::string file;
  size_t bytes = 0;  ///< of the text without its first token, which nothing foresees
  runtime::Perplexity perplexity = {};
  runtime::StateError error = {};  ///< where the state is not kept as float32

  double bits_per_byte() const {
    return bytes == 0 ? 0 : perplexity.nats / std::numbers::ln2 / static_cast<double>(bytes);
  }
};

nlohmann::ordered_json json_of(const Row& row) {
  nlohmann::ordered_json json = {{"file", row.file},
                                 {"tokens", row.perplexity.tokens},
                                 {"bytes", row.bytes},
                                 {"nats_per_token", row.perplexity.nats_per_token()},
                                 {"perplexity", std::exp(row.perplexity.nats_per_token())},
                                 {"bits_per_byte", row.bits_per_byte()}};
  if (row.error.exact.tokens > 0) {
    json["float32_state"] = {{"nats_per_token", row.error.exact.nats_per_token()},
                             {"perplexity_change", row.error.change()},
                             {"largest_logit_difference", row.error.largest},
                             {"largest_logit", row.error.magnitude}};
  }
  return json;
}

std::string line_of(const Row& row) {
  std::string line =
      fmt::format("{}: {} tokens, {:.4f} nats a token, perplexity {:.3f}, {:.4f} bits a byte\n",
                  row.file, row.perplexity.tokens, row.perplexity.nats_per_token(),
                  std::exp(row.perplexity.nats_per_token()), row.bits_per_byte());
  if (row.error.exact.tokens > 0) {
    line += fmt::format(
        "  than with a float32 state: perplexity {:+.3f} %, logits off by {:.3g} at most of "
        "{:.3g}\n",
        100 * row.error.change(), row.error.largest, row.error.magnitude);
  }
  return line;
}

/// Several files seen as one.
void add(Row& all, const Row& row) {
  const auto add_to = [](runtime::Perplexity& sum, const runtime::Perplexity& more) {
    sum.tokens += more.tokens;
    sum.nats += more.nats;
  };
  all.bytes += row.bytes;
  add_to(all.perplexity, row.perplexity);
  add_to(all.error.exact, row.error.exact);
  add_to(all.error.kept, row.error.kept);
  all.error.largest = std::max(all.error.largest, row.error.largest);
  all.error.magnitude = std::max(all.error.magnitude, row.error.magnitude);
}

Row measure(Call& call, const std::shared_ptr<const runtime::Model>& model,
            const text::Tokenizer& tokenizer, const std::string& file) {
  const std::string text = file == "-"
                               ? std::string(std::istreambuf_iterator<char>(call.console.in),
                                             std::istreambuf_iterator<char>())
                               : io::read_text(file, kTextLimit);
  const std::vector<int64_t> tokens = tokenizer.encode_whole(text);
  if (tokens.size() < 2) {
    throw DataError({.where = file,
                     .what = "at least two tokens are needed",
                     .got = fmt::format("{}", tokens.size()),
                     .fix = {}});
  }
  const auto start = std::chrono::steady_clock::now();
  auto told = start;
  const auto tell = [&](int64_t read) {
    const auto now = std::chrono::steady_clock::now();
    if (now - told > std::chrono::seconds(5)) {
      const double seconds = std::chrono::duration<double>(now - start).count();
      call.console.say(fmt::format("{}: {} of {} tokens, {:.0f} a second", file, read,
                                   tokens.size(), static_cast<double>(read) / seconds));
      told = now;
    }
    return !Interrupt::asked();
  };
  Row row{.file = file};
  if (const runtime::StateForm form = state_form_of(call.options);
      form == runtime::StateForm::kFloat32) {
    runtime::Session session(model);
    row.perplexity = runtime::measure_perplexity(session, tokens, tell);
  } else {
    row.error = runtime::measure_state_error(model, form, tokens, tell);
    row.perplexity = row.error.kept;
  }
  const auto read = static_cast<size_t>(row.perplexity.tokens) + 1;
  row.bytes =
      read == tokens.size() ? text.size() : tokenizer.decode(std::span(tokens).first(read)).size();
  row.bytes -= std::min(row.bytes, tokenizer.decode(std::span(tokens).first(1)).size());
  return row;
}

ExitCode run_perplexity(Call& call) {
  const std::string& model = call.words.front();
  const auto tokenizer = runtime::load_tokenizer(model);
  if (tokenizer == nullptr) {
    throw DataError({.where = model,
                     .what = "the model has no tokenizer and reads no text",
                     .got = {},
                     .fix = "put its tokenizer.json beside it"});
  }
  std::vector<std::string> files(call.words.begin() + 1, call.words.end());
  if (files.empty()) files.emplace_back("-");
  const auto loaded = runtime::Model::load(model, 1, call.options.integer("context"));
  const Interrupt interrupt;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  Row all{.file = "all"};
  for (const std::string& file : files) {
    const Row row = measure(call, loaded, *tokenizer, file);
    add(all, row);
    if (call.json()) {
      list.push_back(json_of(row));
    } else {
      call.console.out << line_of(row) << std::flush;
    }
    if (Interrupt::asked()) break;
  }
  if (call.json()) {
    nlohmann::ordered_json report = json_of(all);
    report.erase("file");
    report["files"] = std::move(list);
    call.console.out << report.dump() << '\n';
  } else if (files.size() > 1) {
    call.console.out << line_of(all);
  }
  return Interrupt::asked() ? ExitCode::kInterrupted : ExitCode::kOk;
}

}  // namespace

Command perplexity_command() {
  return {
      .name = "perplexity",
      .summary = "Measure how well a language model foresees texts",
      .description =
          "Reads each text as one sequence in constant memory, so that every token but the first "
          "is foreseen from all before it: there is no window and no stride. Hybrids with "
          "attention have room for --context tokens and refuse a longer text. Bits a byte compare "
          "models with different tokenizers. With --state bf16 or int8 every token is a step of "
          "its "
          "own, and what the rounding of states changes is told. Without a FILE the text comes "
          "from stdin; Ctrl-C ends "
          "with what was read.",
      .examples = {{"longwave perplexity mamba-130m-hf book.txt", "one text"},
                   {"longwave perplexity model.gguf *.txt --json", "several, and all together"},
                   {"longwave perplexity runs/austen book.txt --state int8",
                    "and what states of 8 bits change"}},
      .positionals = {{.name = "MODEL", .help = "run folder, model folder or checkpoint"},
                      {.name = "FILE", .help = "text", .count = Positional::Count::kMany}},
      .flags = {context_flag(), state_flag()},
      .run = run_perplexity,
  };
}

}  // namespace longwave::cli
