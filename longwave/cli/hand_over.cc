// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/hand_over.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "longwave/cli/brief_spin.h"

namespace longwave::cli {
namespace {

namespace fs = std::filesystem;

bool is_program(const fs::path& path) { return ::access(path.c_str(), X_OK) == 0; }

}  // namespace

std::optional<fs::path> find_torch_program() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const fs::path beside = self.parent_path() / kTorchProgram;
    if (is_program(beside)) return beside;
  }
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    const fs::path candidate = fs::path(rest.substr(0, end)) / kTorchProgram;
    if (end > 0 && is_program(candidate)) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

void hand_over(const Call& call) {
  if (call.program == kTorchProgram) return;
  const std::optional<fs::path> program = find_torch_program();
  if (!program) return;
  std::vector<std::string> words = {std::string(kTorchProgram), std::string(call.command.name)};
  words.insert(words.end(), call.arguments.begin(), call.arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  call.console.out.flush();
  spin_as_usual();
  ::execv(program->c_str(), pointers.data());
  throw IoError({.where = program->string(),
                 .what = "cannot be started",
                 .got = std::strerror(errno),
                 .fix = "rebuild it: cmake --preset train && cmake --build --preset train"});
}

ExitCode run_in_torch_program(Call& call) {
  hand_over(call);
  throw IoError({.where = "longwave " + std::string(call.command.name),
                 .what = "needs the program " + std::string(kTorchProgram) +
                         ", which is neither beside this one nor on PATH",
                 .got = {},
                 .fix = "build it (needs libtorch, on Debian: apt install libtorch-dev):\n"
                        "       cmake --preset train && cmake --build --preset train"});
}

}  // namespace longwave::cli
