// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/process.h"

#include <fmt/core.h>
#include <malloc.h>
#include <sys/utsname.h>
#include <torch/torch.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "longwave/base/parallel.h"
#include "longwave/train/block_allocator.h"

extern "C" char* openblas_get_config();
extern "C" char* openblas_get_corename();

namespace longwave::train {
namespace {

/// Set by the first start, so that there is no third.
constexpr const char* kRestarted = "LONGWAVE_RESTARTED";

struct Variable {
  const char* name;
  const char* value;
};

bool openblas_needs_help() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_is("amd") != 0 && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0;
#else
  return false;
#endif
}

std::vector<Variable> wanted_variables() {
  std::vector<Variable> wanted{
      {"GLIBC_TUNABLES",
       "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184:"
       "glibc.malloc.hugetlb=1"},
      {"OMP_WAIT_POLICY", "passive"}};
  if (openblas_needs_help()) wanted.push_back({"OPENBLAS_CORETYPE", "SkylakeX"});
  return wanted;
}

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

void restart_with_fast_libraries() {
  if (std::getenv(kRestarted) != nullptr) return;
  bool changed = false;
  for (const Variable& wanted : wanted_variables()) {
    if (std::getenv(wanted.name) != nullptr) continue;
    ::setenv(wanted.name, wanted.value, 1);
    changed = true;
  }
  std::vector<std::string> arguments = own_arguments();
  if (!changed || arguments.empty()) return;
  // By its own name and not as /proc/self/exe, which is how `ps` and `pgrep` would then know it.
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return;
  ::setenv(kRestarted, "1", 1);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  // If it does not start, this process works as well, only more slowly.
  ::execv(self.c_str(), pointers.data());
}

void prepare_process(int64_t threads) {
  constexpr int kLargest = std::numeric_limits<int>::max();
  ::mallopt(M_MMAP_THRESHOLD, kLargest);
  ::mallopt(M_TRIM_THRESHOLD, kLargest);
  use_reusable_blocks();
  const auto cores = static_cast<int64_t>(std::max(1U, std::thread::hardware_concurrency()));
  const int count = static_cast<int>(threads > 0 ? threads : cores);
  at::set_num_threads(count);
  set_thread_count(count);
  // The mode belongs to a thread, so each of the pool sets it for itself.
  at::globalContext().setFlushDenormal(true);
  parallel_for(count, 1, [](int64_t, int64_t) { at::globalContext().setFlushDenormal(true); });
}

Record environment() {
  utsname system{};
  ::uname(&system);
  return {{"libtorch", std::string(TORCH_VERSION)},
          {"openblas", std::string(openblas_get_config())},
          {"openblas_kernels", std::string(openblas_get_corename())},
          {"processor", processor_name()},
          {"cores", static_cast<int64_t>(std::thread::hardware_concurrency())},
          {"threads", static_cast<int64_t>(thread_count())},
          {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)},
          {"OPENBLAS_CORETYPE", variable("OPENBLAS_CORETYPE")},
          {"ATEN_CPU_CAPABILITY", variable("ATEN_CPU_CAPABILITY")},
          {"GLIBC_TUNABLES", variable("GLIBC_TUNABLES")},
          {"OMP_WAIT_POLICY", variable("OMP_WAIT_POLICY")}};
}

}  // namespace longwave::train
