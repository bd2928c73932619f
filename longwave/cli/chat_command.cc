// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <cstdint>
#include <filesystem>
#include <istream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/interrupt.h"
#include "longwave/cli/commands.h"
#include "longwave/cli/context_flag.h"
#include "longwave/cli/draft_flags.h"
#include "longwave/cli/sampler_flags.h"
#include "longwave/cli/state_flag.h"
#include "longwave/io/atomic_file.h"
#include "longwave/runtime/chat.h"
#include "longwave/runtime/draft.h"

namespace longwave::cli {
namespace {

using runtime::Chat;
using End = runtime::Generation::End;

enum class Next : uint8_t { kGoOn, kQuit };

/// One conversation at the terminal, or with whoever writes to stdin, and its forks.
class Talk {
 public:
  Talk(Call& call, Chat chat) : call_(call), branches_() { branches_.push_back(std::move(chat)); }

  ExitCode run() {
    const std::string& kept = call_.options.text("session");
    std::error_code ignored;
    if (!kept.empty()) {
      // Where nothing can be saved is said before anything else is.
      const io::AtomicFile tried(kept);
    }
    if (!kept.empty() && std::filesystem::exists(kept, ignored)) {
      chat().load(kept);
      tell(fmt::format("{}: turns loaded: {}", kept, chat().turns()));
    }
    std::string line;
    while (!call_.console.closed() && read(line)) {
      try {
        if (line.starts_with('/')) {
          if (command(line) == Next::kQuit) break;
        } else if (!line.empty()) {
          answer(line);
          if (!kept.empty()) chat().save(kept);
        }
      } catch (const Error& error) {
        // What went wrong concerns one line; the conversation is as it was.
        failed_ = true;
        call_.console.err << error.what() << '\n';
      }
    }
    return failed_ && !call_.console.in_is_terminal ? ExitCode::kFailed : ExitCode::kOk;
  }

 private:
  struct Word {
    std::string_view name, takes, help;
    Next (Talk::*act)(const std::string& argument);
  };
  static const std::vector<Word>& words();

  Chat& chat() { return branches_[branch_]; }

  void tell(std::string_view text) { call_.console.say(text); }

  /// A line; one that ends in a backslash goes on in the next.
  bool read(std::string& line) {
    line.clear();
    std::string part;
    if (call_.console.in_is_terminal) {
      call_.console.err << (branches_.size() > 1 ? fmt::format("{}> ", branch_ + 1) : "> ")
                        << std::flush;
    }
    while (std::getline(call_.console.in, part)) {
      if (part.ends_with('\r')) part.pop_back();
      if (!part.ends_with('\\')) {
        line += part;
        return true;
      }
      part.back() = '\n';
      line += part;
    }
    return !line.empty();
  }

  void answer(const std::string& line) {
    // Lives as long as the answer: Ctrl-C ends this one, at the prompt it ends the program.
    const Interrupt interrupt;
    runtime::GenerateOptions options{.sampler = sampler_of(call_.options),
                                     .max_tokens = call_.options.integer("max_tokens"),
                                     .draft_tokens = call_.options.integer("draft_tokens")};
    // Each turn draws other numbers, and the same ones when the conversation is repeated.
    options.sampler.seed += static_cast<uint64_t>(chat().turns()) << 32;
    std::string text;
    const auto show = [&](int64_t, std::string_view part) {
      if (call_.json()) {
        text += part;
      } else {
        call_.console.out << part << std::flush;
      }
      return !Interrupt::asked() && !call_.console.closed();
    };
    const runtime::Generation generation = chat().say(line, options, show);
    if (call_.json()) {
      const nlohmann::ordered_json json{{"text", text}, {"ids", generation.ids}};
      call_.console.out << json.dump();
    }
    call_.console.out << std::endl;
    if (generation.end == End::kAsked) tell("[stopped]");
    if (generation.end == End::kLength) {
      tell(fmt::format("[{} tokens are the limit: --max-tokens]", generation.ids.size()));
    }
    if (generation.end == End::kContext) {
      tell(
          fmt::format("[the context of {} tokens is full: /rewind or /reset make room, --context "
                      "gives more; /save keeps all of it]",
                      chat().session().state().position));
    }
    if (generation.draft.passes > 0) tell("[" + draft_line(generation) + "]");
  }

  Next command(const std::string& line) {
    const size_t blank = std::min(line.find(' '), line.size());
    const std::string name = line.substr(1, blank - 1);
    const size_t begin = std::min(line.find_first_not_of(' ', blank), line.size());
    std::string argument = line.substr(begin);
    while (argument.ends_with(' ')) argument.pop_back();
    for (const Word& word : words()) {
      if (word.name == name) return (this->*word.act)(argument);
    }
    throw InvalidArgument({.where = "chat",
                           .what = "there is no command /" + name,
                           .got = {},
                           .fix = "/help lists them; a text that begins with / needs a blank "
                                  "before it"});
  }

  static std::filesystem::path file_of(const std::string& argument) {
    if (!argument.empty()) return argument;
    throw InvalidArgument(
        {.where = "chat", .what = "which file?", .got = {}, .fix = "such as /save talk.state"});
  }

  static std::optional<int64_t> number_of(const std::string& argument) {
    if (argument.empty()) return std::nullopt;
    const bool digits = argument.find_first_not_of("0123456789") == std::string::npos;
    if (digits && argument.size() < 10) return std::stoll(argument);
    throw InvalidArgument(
        {.where = "chat", .what = "a number is needed", .got = argument, .fix = {}});
  }

  Next save(const std::string& argument) {
    const auto path = file_of(argument);
    chat().save(path);
    tell(fmt::format("{} and {}.json hold {} turns", path.string(), path.string(), chat().turns()));
    return Next::kGoOn;
  }

  Next load(const std::string& argument) {
    chat().load(file_of(argument));
    tell(fmt::format("turns loaded: {}", chat().turns()));
    return Next::kGoOn;
  }

  Next fork(const std::string& argument) {
    const auto to = number_of(argument);
    if (to && (*to < 1 || *to > static_cast<int64_t>(branches_.size()))) {
      throw InvalidArgument({.where = "chat",
                             .what = "there is no such conversation",
                             .got = argument,
                             .fix = fmt::format("they are 1 to {}", branches_.size())});
    }
    if (!to) branches_.push_back(chat().fork());
    branch_ = to ? static_cast<size_t>(*to) - 1 : branches_.size() - 1;
    tell(fmt::format("this is conversation {} of {}, {} turns; /fork 1 goes back to the first",
                     branch_ + 1, branches_.size(), chat().turns()));
    return Next::kGoOn;
  }

  Next rewind(const std::string& argument) {
    chat().rewind(number_of(argument).value_or(1));
    tell(fmt::format("turns left: {}", chat().turns()));
    return Next::kGoOn;
  }

  Next reset(const std::string&) {
    chat().reset();
    tell("a new conversation");
    return Next::kGoOn;
  }

  Next help(const std::string&) {
    for (const Word& word : words()) {
      const std::string name = fmt::format("/{} {}", word.name, word.takes);
      call_.console.err << fmt::format("  {:<14} {}\n", name, word.help);
    }
    call_.console.err << "  Ctrl-C ends an answer, Ctrl-D the program; a line that ends in \\ goes "
                         "on in the next\n";
    return Next::kGoOn;
  }

  Next quit(const std::string&) { return Next::kQuit; }

  Call& call_;
  std::vector<Chat> branches_;
  size_t branch_ = 0;
  bool failed_ = false;
};

const std::vector<Talk::Word>& Talk::words() {
  static const std::vector<Word> kWords = {
      {"save", "FILE", "write the state to FILE and the conversation to FILE.json", &Talk::save},
      {"load", "FILE", "go on from what /save wrote", &Talk::load},
      {"fork", "[n]", "go on in a copy of the conversation, or in the n-th one", &Talk::fork},
      {"rewind", "[n]", "take the last n questions and answers back; 1 if not given",
       &Talk::rewind},
      {"reset", "", "begin again", &Talk::reset},
      {"help", "", "this list", &Talk::help},
      {"quit", "", "end the program", &Talk::quit}};
  return kWords;
}

ExitCode run_chat(Call& call) {
  const int64_t context = call.options.integer("context");
  runtime::ChatModel model = runtime::ChatModel::load(call.words.at(0), context);
  model.form = state_form_of(call.options);
  if (const std::string& draft = call.options.text("draft"); !draft.empty()) {
    model.draft = runtime::load_draft(draft, model.tokenizer.get(), 1, context);
  }
  if (!model.chat_template) {
    call.console.say(
        "note: this model was taught no conversations (it has no chat template): it goes on with "
        "your text");
  }
  if (call.console.in_is_terminal) call.console.say("/help lists the commands");
  return Talk(call, Chat(std::move(model), call.options.text("system"))).run();
}

}  // namespace

Command chat_command() {
  std::vector<Flag> flags = {
      {.option = {.key = "system",
                  .value = std::string(),
                  .help = "how the model shall answer, said before the conversation"},
       .takes = "TEXT"},
      {.option = {.key = "session",
                  .value = std::string(),
                  .help = "load this file if it exists, and save to it after every answer"},
       .takes = "FILE"},
      {.option = {.key = "max_tokens",
                  .value = int64_t{1024},
                  .help = "of an answer at most",
                  .least = 0,
                  .most = 1e12},
       .takes = "COUNT",
       .letter = 'n'}};
  for (Flag& flag : sampler_flags()) flags.push_back(std::move(flag));
  for (Flag& flag : draft_flags()) flags.push_back(std::move(flag));
  flags.push_back(context_flag());
  flags.push_back(state_flag());
  return {
      .name = "chat",
      .summary = "Talk to a language model",
      .description =
          "Reads a line, answers it as the words come, and keeps what was said in the model's "
          "state, which is not read again, however long the conversation is. Conversations are "
          "laid out by the model's own chat template. /help lists the commands: /save, /load, "
          "/fork, /rewind, /reset, /quit. Ctrl-C ends an answer. Hybrids with attention have room "
          "for "
          "--context tokens; when it is full, the answer so far stays. Lines may also come from a "
          "pipe.",
      .examples = {{"longwave chat falcon-h1-instruct", "talk"},
                   {"longwave chat falcon-h1-instruct --session work.state",
                    "go on tomorrow where you left off"},
                   {"longwave chat large.gguf --draft small.gguf",
                    "the same answers, faster where the small model often guesses right"},
                   {"echo 'Why is the sky blue?' | longwave chat falcon-h1-instruct -t 0",
                    "one answer"}},
      .positionals = {{.name = "MODEL", .help = "run folder, model folder or checkpoint"}},
      .flags = std::move(flags),
      .run = run_chat,
  };
}

}  // namespace longwave::cli
