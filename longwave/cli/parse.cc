// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/parse.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>

namespace longwave::cli {
namespace {

bool is_switch(const Flag& flag) { return std::holds_alternative<bool>(flag.option.value); }

std::string parser_name(const Flag& flag) {
  std::string name = flag_name(flag);
  if (is_switch(flag)) name += ",!--no-" + name.substr(2);
  if (flag.letter != 0) name += std::string(",-") + flag.letter;
  if (!flag.also.empty()) name += ",--" + std::string(flag.also);
  return name;
}

/// The command's own flags and the common ones.
std::vector<const Flag*> all_flags(const Command& command) {
  std::vector<const Flag*> flags;
  for (const Flag& flag : command.flags) flags.push_back(&flag);
  for (const Flag& flag : common_flags()) flags.push_back(&flag);
  return flags;
}

[[noreturn]] void refuse_extra(const Command& command, const std::string& word) {
  std::vector<std::string> known;
  for (const Flag* flag : all_flags(command)) known.push_back(flag_name(*flag));
  const std::string near = nearest(word.substr(0, word.find('=')), known);
  throw UsageError({.where = "longwave " + std::string(command.name),
                    .what = "unknown option " + word,
                    .got = {},
                    .fix = near.empty() ? "see longwave " + std::string(command.name) + " --help"
                                        : "did you mean " + near + "?"});
}

void read_environment(const Command& command, const Environment& environment, Parsed& parsed) {
  for (const Flag* flag : all_flags(command)) {
    const std::string name = environment_name(command, *flag);
    const char* text = environment(name.c_str());
    if (text == nullptr || *text == 0) continue;
    parsed.options.parse(flag->option.key, text, name);
    parsed.origins[flag->option.key] = name;
  }
}

void read_flag(const Flag& flag, const ::CLI::Option& option, Parsed& parsed) {
  const std::string text =
      is_switch(flag) ? (option.as<bool>() ? "true" : "false") : option.results().back();
  try {
    parsed.options.parse(flag.option.key, text, flag_name(flag));
  } catch (const ConfigError& error) {
    // The flag is named already.
    Report report = error.report();
    const std::string named = flag.option.key + ": ";
    if (report.what.starts_with(named)) report.what.erase(0, named.size());
    throw UsageError(std::move(report));
  }
  parsed.origins[flag.option.key] = flag_name(flag);
}

}  // namespace

const std::vector<Flag>& common_flags() {
  static const std::vector<Flag> flags = {
      {.option = {.key = "help", .value = false, .help = "show examples, arguments and options"},
       .letter = 'h'},
      {.option = {.key = "json", .value = false, .help = "print the report as one JSON document"}},
      {.option = {.key = "quiet", .value = false, .help = "no talk on stderr, errors excepted"},
       .letter = 'q'},
      {.option = {.key = "threads",
                  .value = int64_t{0},
                  .help = "threads to compute with; 0 takes one for each core",
                  .least = 0,
                  .most = 4096}},
      {.option = {.key = "print_config",
                  .value = false,
                  .help = "print every option with its value and where it came from, then stop"}},
  };
  return flags;
}

std::string flag_name(const Flag& flag) {
  std::string name = "--" + flag.option.key;
  std::ranges::replace(name, '_', '-');
  return name;
}

std::string environment_name(const Command& command, const Flag& flag) {
  const bool is_common = std::ranges::any_of(
      common_flags(), [&](const Flag& one) { return one.option.key == flag.option.key; });
  std::string name = "LONGWAVE_";
  if (!is_common) name += std::string(command.name) + "_";
  name += flag.option.key;
  for (char& letter : name) letter = static_cast<char>(std::toupper(letter));
  return name;
}

Parsed parse(const Command& command, const std::vector<std::string>& arguments,
             const Environment& environment) {
  Schema schema;
  Parsed parsed;
  for (const Flag* flag : all_flags(command)) {
    schema.push_back(flag->option);
    parsed.origins[flag->option.key] = "default";
  }
  parsed.options = Options(std::move(schema));

  ::CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::pair<const Flag*, ::CLI::Option*>> options;
  for (const Flag* flag : all_flags(command)) {
    ::CLI::Option* option =
        is_switch(*flag) ? app.add_flag(parser_name(*flag)) : app.add_option(parser_name(*flag));
    if (!is_switch(*flag)) option->take_last();
    options.emplace_back(flag, option);
  }
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const ::CLI::ArgumentMismatch& error) {
    const std::string message = error.what();
    throw UsageError({.where = "longwave " + std::string(command.name),
                      .what = message.substr(0, message.find(':')) + " needs a value",
                      .got = {},
                      .fix = "see longwave " + std::string(command.name) + " --help"});
  } catch (const ::CLI::ParseError& error) {
    throw UsageError({.where = "longwave " + std::string(command.name),
                      .what = error.what(),
                      .got = {},
                      .fix = "see longwave " + std::string(command.name) + " --help"});
  }

  read_environment(command, environment, parsed);
  for (const auto& [flag, option] : options) {
    if (option->count() > 0) read_flag(*flag, *option, parsed);
  }
  bool only_words = false;
  for (const std::string& word : app.remaining()) {
    if (word == "--" && !only_words) {
      only_words = true;
    } else if (!only_words && word.size() > 1 && word[0] == '-') {
      refuse_extra(command, word);
    } else {
      parsed.words.push_back(word);
    }
  }
  return parsed;
}

void check_words(const Command& command, const std::vector<std::string>& words) {
  const std::string where = "longwave " + std::string(command.name);
  const std::string fix = "see " + where + " --help";
  size_t most = 0;
  for (const Positional& positional : command.positionals) {
    if (positional.count == Positional::Count::kOne && words.size() <= most) {
      throw UsageError({.where = where,
                        .what = "missing argument " + std::string(positional.name),
                        .got = {},
                        .fix = std::string(positional.name) +
                               " is: " + std::string(positional.help) + "; " + fix});
    }
    if (positional.count == Positional::Count::kMany) return;
    ++most;
  }
  if (words.size() <= most) return;
  const std::string& word = words[most];
  const std::string quoted = word.find(' ') == std::string::npos ? word : "\"" + word + "\"";
  const auto flag = std::ranges::find(command.flags, command.stray,
                                      [](const Flag& one) { return one.option.key; });
  throw UsageError({.where = where,
                    .what = "unexpected argument " + quoted,
                    .got = {},
                    .fix = flag == command.flags.end()
                               ? fix
                               : "did you mean " + flag_name(*flag) + " " + quoted + "?"});
}

}  // namespace longwave::cli
