// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "longwave/cli/command.h"

namespace longwave::cli {

/// Looks an environment variable up; nullptr if it is not set.
using Environment = std::function<const char*(const char*)>;

/// The options that every command has: help, json, quiet, threads, print_config.
const std::vector<Flag>& common_flags();

/// "--state-in" for the key "state_in".
std::string flag_name(const Flag& flag);

/// "LONGWAVE_STREAM_STATE_IN", or "LONGWAVE_THREADS" for a common option.
std::string environment_name(const Command& command, const Flag& flag);

/// What a command line and the environment say.
struct Parsed {
  Options options;
  std::map<std::string, std::string> origins;  ///< key -> "default", the variable or the flag
  std::vector<std::string> words;
};

/// Resolves the options of a command: default < environment < flag.
///
/// Errors     UsageError for the command line, with the nearest known flag; ConfigError for the
///            environment.
Parsed parse(const Command& command, const std::vector<std::string>& arguments,
             const Environment& environment);

/// Throws UsageError unless the number of positional arguments is right.
void check_words(const Command& command, const std::vector<std::string>& words);

}  // namespace longwave::cli
