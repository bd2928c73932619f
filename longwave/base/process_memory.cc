// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/process_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace longwave {

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  if (!(file >> total >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t peak_resident_bytes() {
  constexpr int64_t kKibibyte = 1024;
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    int64_t kibibytes = 0;
    if (word == "VmHWM:" && file >> kibibytes) return kibibytes * kKibibyte;
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * kKibibyte;
}

}  // namespace longwave
