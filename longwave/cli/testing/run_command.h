// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "longwave/cli/commands.h"
#include "longwave/cli/program.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/model_folder.h"

namespace longwave::cli::testing {

struct Outcome {
  ExitCode code;
  std::string out, err;
};

using Variables = std::map<std::string, std::string>;

/// Runs a command line on strings instead of the process's streams.
inline Outcome run(const Program& program, const std::vector<std::string>& arguments,
                   const Variables& variables = {}, const std::string& input = {}) {
  std::istringstream in(input);
  std::ostringstream out, err;
  Console console{.in = in, .out = out, .err = err};
  const ExitCode code = run_program(program, arguments, console, [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
  return {code, out.str(), err.str()};
}

/// The program as it is shipped, fed with `input`.
inline Outcome longwave(const std::vector<std::string>& arguments, const std::string& input = {}) {
  return run({.name = "longwave", .commands = commands(), .torch = {}}, arguments, {}, input);
}

/// A folder of the test's own that disappears with it.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& name)
      : path_(std::filesystem::path(::testing::TempDir()) / ("longwave_cli_" + name)) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

  /// Saves a small model with random weights and returns its folder.
  std::string save_model(const std::string& name, const models::testing::ModelCase& model) const {
    const std::string folder = *this / name;
    runtime::save_model_folder(folder, model.config(), model.weights(5));
    return folder;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace longwave::cli::testing
