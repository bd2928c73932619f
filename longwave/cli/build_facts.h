// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace longwave::cli {

/// How this program was built and what it runs on.
struct BuildFacts {
  std::string version;
  std::string commit;                   ///< short hash at configuration time, or "unknown"
  std::string build_type;               ///< "Release"
  std::string compiler;                 ///< "GNU 12.2.0"
  std::vector<std::string> simd_built;  ///< SIMD targets that kernels are compiled for
  std::string simd_used;                ///< the one chosen on this CPU
  std::string gpus;                     ///< compute capabilities built for, "80 90"; or empty
};

BuildFacts build_facts();

}  // namespace longwave::cli
