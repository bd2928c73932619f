// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/help.h"

#include <fmt/core.h>

#include <algorithm>

#include "longwave/base/joined.h"
#include "longwave/cli/parse.h"

namespace longwave::cli {
namespace {

std::string usage(const Command& command) {
  std::string line = "longwave " + std::string(command.name);
  for (const Positional& positional : command.positionals) {
    switch (positional.count) {
      case Positional::Count::kOne:
        line += fmt::format(" {}", positional.name);
        break;
      case Positional::Count::kOptional:
        line += fmt::format(" [{}]", positional.name);
        break;
      case Positional::Count::kMany:
        line += fmt::format(" [{}...]", positional.name);
        break;
    }
  }
  return line + " [options]";
}

/// "FILE", "text|f32", "NUMBER" or nothing for a switch.
std::string value_name(const Flag& flag) {
  if (!flag.takes.empty()) return std::string(flag.takes);
  if (!flag.option.choices.empty()) return joined(flag.option.choices, "|");
  if (std::holds_alternative<bool>(flag.option.value)) return {};
  if (std::holds_alternative<int64_t>(flag.option.value)) return "INTEGER";
  if (std::holds_alternative<double>(flag.option.value)) return "NUMBER";
  if (std::holds_alternative<std::vector<int64_t>>(flag.option.value)) return "LIST";
  return "TEXT";
}

std::string spelling(const Flag& flag) {
  std::string text = flag_name(flag);
  if (!flag.also.empty()) text = "--" + std::string(flag.also) + ", " + text;
  if (flag.letter != 0) text = std::string("-") + flag.letter + ", " + text;
  const std::string value = value_name(flag);
  return value.empty() ? text : text + " " + value;
}

/// The default as help shows it; nothing where it says nothing.
std::string shown_default(const Flag& flag) {
  if (std::holds_alternative<bool>(flag.option.value)) return {};
  return to_string(flag.option.value);
}

/// Breaks `text` into lines of at most `width` columns.
std::vector<std::string> wrap(std::string_view text, size_t width) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) {
      lines.emplace_back();
    }
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

constexpr size_t kColumns = 96;

/// Rows of name and explanation, aligned.
std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows) {
  size_t width = 0;
  for (const auto& [name, text] : rows) width = std::max(width, std::min<size_t>(name.size(), 28));
  std::string result;
  for (const auto& [name, text] : rows) {
    std::string lead = fmt::format("  {:<{}}  ", name, width);
    if (name.size() > width) {
      result += "  " + name + "\n";
      lead = std::string(width + 4, ' ');
    }
    for (const std::string& line : wrap(text, kColumns - width - 4)) {
      result += lead + line + "\n";
      lead = std::string(width + 4, ' ');
    }
  }
  return result;
}

std::string flag_rows(const std::vector<Flag>& flags) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Flag& flag : flags) {
    std::string text = flag.option.help;
    const std::string value = shown_default(flag);
    if (!value.empty()) text += fmt::format(" (default {})", value);
    rows.emplace_back(spelling(flag), std::move(text));
  }
  return two_columns(rows);
}

std::string escape_table(std::string text) {
  for (size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) {
    text.insert(at, "\\");
  }
  return text;
}

std::string flag_table(const Command& command, const std::vector<Flag>& flags) {
  std::string text = "| option | default | environment | meaning |\n|---|---|---|---|\n";
  for (const Flag& flag : flags) {
    const std::string value = shown_default(flag);
    text += fmt::format("| `{}` | {} | `{}` | {} |\n", escape_table(spelling(flag)),
                        value.empty() ? std::string() : "`" + escape_table(value) + "`",
                        environment_name(command, flag), escape_table(flag.option.help));
  }
  return text;
}

}  // namespace

std::string help_text(const Command& command, const Console& console) {
  const auto title = [&](std::string_view text) {
    return console.mark(Emphasis::kBold, text) + "\n";
  };
  std::string text = fmt::format("longwave {}: {}\n\n", command.name, command.summary);
  text += title("Examples");
  for (const Example& example : command.examples) {
    text += "  " + console.mark(Emphasis::kDim, fmt::format("# {}", example.says)) + "\n";
    text += fmt::format("  {}\n", example.line);
  }
  text += "\n" + title("Usage") + "  " + usage(command) + "\n\n";
  for (const std::string& line : wrap(command.description, kColumns - 2)) {
    text += "  " + line + "\n";
  }
  if (!command.positionals.empty()) {
    std::vector<std::pair<std::string, std::string>> rows;
    for (const Positional& one : command.positionals) rows.emplace_back(one.name, one.help);
    text += "\n" + title("Arguments") + two_columns(rows);
  }
  if (!command.flags.empty()) text += "\n" + title("Options") + flag_rows(command.flags);
  text += "\n" + title("Options of every command") + flag_rows(common_flags());
  const std::string variable = environment_name(
      command, command.flags.empty() ? common_flags().back() : command.flags.front());
  text += fmt::format(
      "\nEach option is also an environment variable, such as {}.\n"
      "The order is default < environment < option.\n",
      variable);
  return text;
}

std::string overview_text(std::span<const Command> commands, const Console& console) {
  std::string text = "Longwave trains, runs, inspects and serves state space models.\n\n";
  text += console.mark(Emphasis::kBold, "Commands") + "\n";
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Command& command : commands) {
    if (command.listing == Command::Listing::kHidden) continue;
    rows.emplace_back(command.name, command.summary);
  }
  text += two_columns(rows);
  text +=
      "\n`longwave COMMAND --help` shows examples and options.\n"
      "`longwave --version` says how this program was built.\n";
  return text;
}

std::string reference_page(std::span<const Command> commands) {
  std::string text =
      "# The `longwave` command\n\n"
      "<!-- Made by `longwave docs`; edit the option tables in longwave/cli/ instead. -->\n\n"
      "Results go to stdout, talk goes to stderr. Options are resolved in the order default <\n"
      "environment < option; `--print-config` shows the outcome. `NO_COLOR` switches colours "
      "off.\n\n"
      "| exit code | meaning |\n|---|---|\n"
      "| 0 | done |\n"
      "| 1 | failed: the answer is no, or the system refused (file, memory) |\n"
      "| 2 | the command line makes no sense |\n"
      "| 3 | bad configuration or data |\n"
      "| 4 | training diverged |\n"
      "| 130 | interrupted; what can be saved is saved |\n\n";
  text += "## Options of every command\n\n" + flag_table({}, common_flags());
  for (const Command& command : commands) {
    if (command.listing == Command::Listing::kHidden) continue;
    text += fmt::format("\n## longwave {}\n\n{}.\n\n    {}\n\n", command.name, command.summary,
                        usage(command));
    text += std::string(command.description) + "\n\n```sh\n";
    for (const Example& example : command.examples) {
      text += fmt::format("# {}\n{}\n", example.says, example.line);
    }
    text += "```\n";
    if (!command.positionals.empty()) {
      text += "\n| argument | meaning |\n|---|---|\n";
      for (const Positional& one : command.positionals) {
        text += fmt::format("| `{}` | {} |\n", one.name, escape_table(std::string(one.help)));
      }
    }
    if (!command.flags.empty()) text += "\n" + flag_table(command, command.flags);
  }
  return text;
}

}  // namespace longwave::cli
