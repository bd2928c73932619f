// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/options.h"
#include "longwave/cli/console.h"

namespace longwave::cli {

/// What the shell is told at the end.
enum class ExitCode : int {
  kOk = 0,
  kFailed = 1,         ///< ran, and the answer is no; or the world failed
  kUsage = 2,          ///< the command line makes no sense
  kBadInput = 3,       ///< bad configuration or data
  kDiverged = 4,       ///< numbers went bad during training
  kInterrupted = 130,  ///< SIGINT or SIGTERM; what can be saved is saved
};

/// The command line makes no sense: exit code 2.
class UsageError : public Error {
  using Error::Error;
};

/// An option of a command, declared once: flag, config key, environment variable, type, default,
/// help and documentation all come from here.
///
/// The key "state_in" of command "stream" is the flag --state-in and the environment variable
/// LONGWAVE_STREAM_STATE_IN. A truth value is a flag without a value (--json, --no-json).
struct Flag {
  Option option;                ///< key in snake_case, default, help, limits, choices
  std::string_view takes = {};  ///< what help calls the value, such as "FILE"
  char letter = 0;              ///< short form, or none
  std::string_view also = {};   ///< another name that is taken, such as "temp", or none
};

/// An argument without a name.
struct Positional {
  enum class Count : uint8_t { kOne, kOptional, kMany };
  std::string_view name;  ///< in capitals: "MODEL"
  std::string_view help;
  Count count = Count::kOne;
};

/// A command line that works, and what it does.
struct Example {
  std::string_view line;
  std::string_view says;
};

struct Call;

/// A subcommand as data: parsing, help and reference page are made from it.
struct Command {
  enum class Listing : uint8_t { kShown, kHidden };
  std::string_view name;
  std::string_view summary;      ///< one line, no full stop
  std::string_view description;  ///< one paragraph
  std::vector<Example> examples;
  std::vector<Positional> positionals;
  std::vector<Flag> flags;
  ExitCode (*run)(Call& call) = nullptr;
  Listing listing = Listing::kShown;
  std::string_view stray = {};  ///< key of the flag that a word too many is mostly meant for
};

/// One invocation of a command: its options resolved (default < environment < flag).
struct Call {
  const Command& command;
  Console& console;
  Options options;                     ///< the command's flags and the common ones, by key
  std::vector<std::string> words;      ///< the positional arguments
  std::vector<std::string> arguments;  ///< everything after the command's name, as given
  std::string_view program;            ///< "longwave" or "longwave-train"

  bool json() const { return options.flag("json"); }
};

}  // namespace longwave::cli
