// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/build_facts.h"

#include <hwy/highway.h>

namespace longwave::cli {

BuildFacts build_facts() {
  BuildFacts facts{.version = LONGWAVE_VERSION,
                   .commit = LONGWAVE_COMMIT,
                   .build_type = LONGWAVE_BUILD_TYPE,
                   .compiler = LONGWAVE_COMPILER,
                   .simd_built = {},
                   .simd_used = "scalar",
                   .gpus = LONGWAVE_GPUS};
  // Highway numbers its targets from the best to the plainest.
  const int64_t supported = hwy::SupportedTargets();
  for (int64_t bit = int64_t{1} << 61; bit > 0; bit >>= 1) {
    if ((HWY_TARGETS & bit) == 0) continue;
    facts.simd_built.emplace_back(hwy::TargetName(bit));
    if ((supported & bit) != 0) facts.simd_used = hwy::TargetName(bit);
  }
  return facts;
}

}  // namespace longwave::cli
