// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/program.h"

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <new>
#include <nlohmann/json.hpp>

#include "longwave/base/joined.h"
#include "longwave/base/parallel.h"
#include "longwave/cli/build_facts.h"
#include "longwave/cli/hand_over.h"
#include "longwave/cli/help.h"

namespace longwave::cli {
namespace {

using Json = nlohmann::ordered_json;

ExitCode exit_code(const Error& error) {
  if (dynamic_cast<const UsageError*>(&error) != nullptr) return ExitCode::kUsage;
  if (dynamic_cast<const Diverged*>(&error) != nullptr) return ExitCode::kDiverged;
  if (dynamic_cast<const IoError*>(&error) != nullptr) return ExitCode::kFailed;
  return ExitCode::kBadInput;
}

const Command& find_command(const Program& program, const std::string& name) {
  const auto found = std::ranges::find(program.commands, name, &Command::name);
  if (found != program.commands.end()) return *found;
  std::vector<std::string> known;
  for (const Command& command : program.commands) known.emplace_back(command.name);
  const std::string near = nearest(name, known);
  throw UsageError({.where = std::string(program.name),
                    .what = "unknown command " + name,
                    .got = {},
                    .fix = near.empty() ? "longwave --help lists the commands"
                                        : "did you mean longwave " + near + "?"});
}

void print_version(const Program& program, bool as_json, Console& console) {
  const BuildFacts facts = build_facts();
  const auto helper = find_torch_program();
  if (as_json) {
    console.out << Json{{"version", facts.version},
                        {"commit", facts.commit},
                        {"build_type", facts.build_type},
                        {"compiler", facts.compiler},
                        {"simd_built", facts.simd_built},
                        {"simd_used", facts.simd_used},
                        {"cuda", facts.gpus},
                        {"torch", program.torch},
                        {"trains", helper.has_value()}}
                       .dump(2)
                << '\n';
    return;
  }
  console.out << fmt::format(
      "{} {}\n"
      "commit    {}\n"
      "build     {}, {}\n"
      "SIMD      {} (built for {})\n"
      "CUDA      {}\n"
      "torch     {}\n",
      program.name, facts.version, facts.commit, facts.build_type, facts.compiler, facts.simd_used,
      joined(facts.simd_built, " "), facts.gpus.empty() ? "no" : "built for " + facts.gpus,
      !program.torch.empty() ? "yes, " + program.torch
      : helper.has_value()   ? "no; training runs in " + helper->string()
                             : "no; longwave-train was not found, training is not available");
}

/// A TOML basic string.
std::string quoted(const std::string& text) { return Json(text).dump(); }

void print_config(const Parsed& parsed, Console& console) {
  const bool as_json = parsed.options.flag("json");
  Json document = Json::object();
  for (const Option& option : parsed.options.schema()) {
    if (option.key == "help" || option.key == "print_config") continue;
    const Value& value = parsed.options.at(option.key);
    const std::string& origin = parsed.origins.at(option.key);
    if (as_json) {
      const Json held = std::visit([](const auto& item) { return Json(item); }, value);
      document[option.key] = {{"value", held}, {"from", origin}};
    } else {
      const auto* text = std::get_if<std::string>(&value);
      console.out << fmt::format("{} = {}  # {}\n", option.key,
                                 text != nullptr ? quoted(*text) : to_string(value), origin);
    }
  }
  if (as_json) console.out << document.dump(2) << '\n';
}

ExitCode run_command(const Program& program, const Command& command,
                     std::vector<std::string> arguments, Console& console,
                     const Environment& environment) {
  Parsed parsed = parse(command, arguments, environment);
  if (parsed.options.flag("help")) {
    console.out << help_text(command, console);
    return ExitCode::kOk;
  }
  if (parsed.options.flag("print_config")) {
    print_config(parsed, console);
    return ExitCode::kOk;
  }
  check_words(command, parsed.words);
  console.quiet = parsed.options.flag("quiet");
  const int64_t threads = parsed.options.integer("threads");
  if (threads > 0) set_thread_count(static_cast<int>(threads));
  Call call{.command = command,
            .console = console,
            .options = std::move(parsed.options),
            .words = std::move(parsed.words),
            .arguments = std::move(arguments),
            .program = program.name};
  return command.run(call);
}

ExitCode dispatch(const Program& program, const std::vector<std::string>& arguments,
                  Console& console, const Environment& environment) {
  if (arguments.empty()) {
    console.err << overview_text(program.commands, console);
    return ExitCode::kUsage;
  }
  const std::string& first = arguments.front();
  const bool asks_help = first == "--help" || first == "-h" || first == "help";
  if (asks_help && arguments.size() == 1) {
    console.out << overview_text(program.commands, console);
    return ExitCode::kOk;
  }
  if (asks_help) {
    console.out << help_text(find_command(program, arguments[1]), console);
    return ExitCode::kOk;
  }
  if (first == "--version" || first == "-V" || first == "version") {
    print_version(program, arguments.size() > 1 && arguments[1] == "--json", console);
    return ExitCode::kOk;
  }
  if (first.starts_with("-")) {
    throw UsageError({.where = std::string(program.name),
                      .what = "unknown option " + first,
                      .got = {},
                      .fix = "the command comes first: longwave COMMAND [options]"});
  }
  return run_command(program, find_command(program, first),
                     {arguments.begin() + 1, arguments.end()}, console, environment);
}

void print_error(std::string_view text, Console& console) {
  console.err << (console.err_is_terminal ? console.mark(Emphasis::kBad, "error: ") : "error: ")
              << text << '\n';
}

/// True if the other end of the pipe on stdout has been closed.
bool reader_left() {
  pollfd out{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

}  // namespace

ExitCode run_program(const Program& program, const std::vector<std::string>& arguments,
                     Console& console, const Environment& environment) {
  try {
    return dispatch(program, arguments, console, environment);
  } catch (const Error& error) {
    print_error(error.what(), console);
    return exit_code(error);
  } catch (const std::bad_alloc&) {
    print_error("out of memory\n  fix: use a smaller model, batch or length", console);
    return ExitCode::kFailed;
  } catch (const std::exception& error) {
    print_error(error.what(), console);
    return ExitCode::kFailed;
  }
}

int run_main(const Program& program, int count, char** arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  // A file size limit must end in IoError, which names the file, not in a killed process.
  std::signal(SIGXFSZ, SIG_IGN);
  std::ios::sync_with_stdio(false);
  std::cin.tie(nullptr);
  const char* no_color = std::getenv("NO_COLOR");
  const bool wants_colours = no_color == nullptr || *no_color == 0;
  Console console{.in = std::cin,
                  .out = std::cout,
                  .err = std::cerr,
                  .in_is_terminal = ::isatty(STDIN_FILENO) == 1,
                  .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
                  .err_is_terminal = ::isatty(STDERR_FILENO) == 1};
  console.colours = wants_colours && console.out_is_terminal;
  const ExitCode code = run_program(program, {arguments + 1, arguments + count}, console,
                                    [](const char* name) { return std::getenv(name); });
  std::cout.flush();
  if (std::cout.good() || reader_left()) return static_cast<int>(code);
  print_error("stdout: cannot be written\n  fix: is the disk full?", console);
  return static_cast<int>(code == ExitCode::kOk ? ExitCode::kFailed : code);
}

}  // namespace longwave::cli
