// SPDX-License-Identifier: Apache-2.0
#include <cblas.h>
#include <fmt/core.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "longwave/base/error.h"
#include "longwave/base/joined.h"
#include "longwave/base/parallel.h"
#include "longwave/cli/build_facts.h"
#include "longwave/cli/commands.h"
#include "longwave/cli/hand_over.h"
#include "longwave/data/dataset.h"
#include "longwave/inspect/number_text.h"

namespace longwave::cli {
namespace {

namespace fs = std::filesystem;

/// One thing looked at.
struct Finding {
  enum class Verdict : uint8_t { kGood, kNote, kBad };
  std::string what;
  Verdict verdict = Verdict::kGood;
  std::string found;
  std::string fix = {};  ///< what to do, if anything
};

using Verdict = Finding::Verdict;

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

Finding simd() {
  const BuildFacts facts = build_facts();
  Finding finding{.what = "SIMD",
                  .found = fmt::format("{} in use, built for {}", facts.simd_used,
                                       joined(facts.simd_built, " "))};
  if (facts.simd_used.starts_with("SSE") || facts.simd_used.starts_with("SSSE") ||
      facts.simd_used == "EMU128" || facts.simd_used == "SCALAR") {
    finding.verdict = Verdict::kNote;
    finding.fix = "this CPU has no AVX2: expect a quarter of the usual speed";
  }
  return finding;
}

Finding build() {
  const BuildFacts facts = build_facts();
  Finding finding{.what = "build",
                  .found = fmt::format("{} {}, {}, {}", facts.version, facts.commit,
                                       facts.build_type, facts.compiler)};
  if (facts.build_type != "Release" && facts.build_type != "RelWithDebInfo") {
    finding.verdict = Verdict::kNote;
    finding.fix = "a debug build is many times slower: cmake --preset release";
  }
  return finding;
}

Finding threads() {
  const int used = thread_count();
  const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  Finding finding{.what = "threads", .found = fmt::format("{} of {} cores", used, cores)};
  if (used > cores) {
    finding.verdict = Verdict::kNote;
    finding.fix = fmt::format("more threads than cores: set LONGWAVE_THREADS={}", cores);
  }
  if (used < cores) {
    finding.verdict = Verdict::kNote;
    finding.fix = "OMP_NUM_THREADS or --threads leaves cores idle";
  }
  return finding;
}

Finding blas() {
  const std::string config = openblas_get_config(), core = openblas_get_corename();
  Finding finding{.what = "OpenBLAS",
                  .found = config.substr(0, config.find(" NO_")) + ", kernels for " + core};
  if (config.find("USE_OPENMP") == std::string::npos) {
    finding.verdict = Verdict::kNote;
    finding.fix = "its own threads compete with ours: apt install libopenblas0-openmp";
  } else if (build_facts().simd_used.starts_with("AVX3") && core != "SkylakeX" &&
             core != "Cooperlake" && core != "SapphireRapids" &&
             std::getenv("OPENBLAS_CORETYPE") == nullptr) {
    finding.verdict = Verdict::kNote;
    finding.fix = "this CPU has AVX-512: export OPENBLAS_CORETYPE=SkylakeX may be faster";
  }
  return finding;
}

/// Names of the NVIDIA GPUs that the driver shows.
std::vector<std::string> gpu_names() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& gpu : fs::directory_iterator("/proc/driver/nvidia/gpus", error)) {
    std::ifstream file(gpu.path() / "information");
    for (std::string line; std::getline(file, line);) {
      if (!line.starts_with("Model:")) continue;
      names.push_back(line.substr(std::min(line.size(), line.find_first_not_of(" \t", 6))));
    }
  }
  return names;
}

Finding gpu() {
  const std::vector<std::string> names = gpu_names();
  const std::string built = build_facts().gpus;
  Finding finding{.what = "GPU",
                  .found = fmt::format("{}; {}", names.empty() ? "none seen" : joined(names, ", "),
                                       built.empty() ? "this build has no CUDA kernels"
                                                     : "CUDA kernels are built for " + built)};
  if (!names.empty() && built.empty()) {
    finding.verdict = Verdict::kNote;
    finding.fix = "cmake --preset cuda builds for it: docs/how-to/gpu.md";
  }
  return finding;
}

Finding memory() {
  struct sysinfo info = {};
  if (::sysinfo(&info) != 0)
    return {.what = "memory", .verdict = Verdict::kNote, .found = "unknown"};
  const auto unit = static_cast<int64_t>(info.mem_unit);
  const int64_t total = static_cast<int64_t>(info.totalram) * unit;
  Finding finding{.what = "memory", .found = inspect::byte_text(total)};
  if (total < (int64_t{2} << 30)) {
    finding.verdict = Verdict::kNote;
    finding.fix = "training needs about 2 GiB; streaming a few MiB";
  }
  return finding;
}

Finding disk() {
  std::error_code error;
  const fs::space_info space = fs::space(fs::current_path(error), error);
  if (error) return {.what = "disk", .verdict = Verdict::kBad, .found = error.message()};
  const auto free = static_cast<int64_t>(space.available);
  Finding finding{.what = "disk", .found = inspect::byte_text(free) + " free here"};
  if (free < (int64_t{1} << 30)) {
    finding.verdict = Verdict::kNote;
    finding.fix = "checkpoints may not fit: make room, or run elsewhere";
  }
  return finding;
}

Finding torch() {
  const auto program = find_torch_program();
  if (program) return {.what = "training", .found = program->string()};
  return {
      .what = "training",
      .verdict = Verdict::kNote,
      .found = "longwave-train was not found; everything but training works",
      .fix = "apt install libtorch-dev && cmake --preset train && cmake --build --preset train"};
}

Finding source_finding(const data::Source& source) {
  const std::string what = "data: " + std::string(source.name);
  try {
    const auto dataset = source.open(Options(source.schema()), data::Split::kTest, 0);
    return {.what = what,
            .found = fmt::format("{} test examples", inspect::thousands(dataset->size()))};
  } catch (const Error& error) {
    const std::string& fix = error.report().fix;
    return {.what = what,
            .verdict = Verdict::kNote,
            .found = error.report().what,
            .fix = fix.empty() ? "set its options in a recipe" : fix};
  }
}

std::vector<Finding> examine() {
  std::vector<Finding> findings = {{.what = "CPU", .found = cpu_name()},
                                   build(),
                                   simd(),
                                   threads(),
                                   blas(),
                                   gpu(),
                                   memory(),
                                   disk(),
                                   torch()};
  for (const data::Source& source : data::sources()) findings.push_back(source_finding(source));
  return findings;
}

std::string_view word_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kGood:
      return "ok";
    case Verdict::kNote:
      return "note";
    case Verdict::kBad:
      return "BAD";
  }
  return "";
}

ExitCode run_doctor(Call& call) {
  const std::vector<Finding> findings = examine();
  const bool bad = std::ranges::any_of(
      findings, [](const Finding& finding) { return finding.verdict == Verdict::kBad; });
  if (call.json()) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Finding& finding : findings) {
      list.push_back({{"what", finding.what},
                      {"verdict", word_of(finding.verdict)},
                      {"found", finding.found},
                      {"fix", finding.fix}});
    }
    call.console.out << list.dump(2) << '\n';
  } else {
    for (const Finding& finding : findings) {
      const Emphasis emphasis = finding.verdict == Verdict::kGood   ? Emphasis::kGood
                                : finding.verdict == Verdict::kNote ? Emphasis::kBold
                                                                    : Emphasis::kBad;
      const std::string word = fmt::format("{:<5}", word_of(finding.verdict));
      call.console.out << fmt::format("{} {:<24} {}\n", call.console.mark(emphasis, word),
                                      finding.what, finding.found);
      if (!finding.fix.empty()) call.console.out << fmt::format("{:31}> {}\n", "", finding.fix);
    }
  }
  return bad ? ExitCode::kFailed : ExitCode::kOk;
}

}  // namespace

Command doctor_command() {
  return {.name = "doctor",
          .summary = "Check this machine and installation, and say what to do",
          .description =
              "Looks at the CPU and the SIMD kernels in use, threads, OpenBLAS, GPUs, memory, "
              "disk, the training program and the sources of data. Notes tell what could be "
              "better; exit status 1 if something is broken.",
          .examples = {{"longwave doctor", "is everything there?"},
                       {"longwave doctor --json", "the same, to attach to a report"}},
          .positionals = {},
          .flags = {},
          .run = run_doctor};
}

}  // namespace longwave::cli
