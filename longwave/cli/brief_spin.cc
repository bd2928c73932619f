// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/brief_spin.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace longwave::cli {
namespace {

constexpr const char* kVariable = "GOMP_SPINCOUNT";
/// Rounds of waiting: longer than the gaps between the parts of a decoding step.
constexpr const char* kRounds = "3000";

}  // namespace

void spin_briefly(char** arguments) {
  if (std::getenv(kVariable) != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  // By its own name, which a list of processes shows.
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error && ::setenv(kVariable, kRounds, 1) == 0) ::execv(program.c_str(), arguments);
}

void spin_as_usual() {
  const char* rounds = std::getenv(kVariable);
  if (rounds != nullptr && std::string_view(rounds) == kRounds) ::unsetenv(kVariable);
}

}  // namespace longwave::cli
