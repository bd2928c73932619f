// SPDX-License-Identifier: Apache-2.0
// The same of a CUDA backend, where Longwave was built with them: it must link, and answer with or
// without a GPU.
#include <cstdio>

#include "longwave/longwave.h"
#include "longwave/ops/ssd/ssd_cuda.h"

int main() {
  try {
    const longwave::ops::SsdSize size{1, 65536, 24, 64, 1, 128};
    std::printf("takes: %zu bytes\n", longwave::ops::ssd_cuda_workspace_bytes<float>(size));
  } catch (const longwave::Error& error) {
    std::printf("refused: %s\n", error.what());
  }
  return 0;
}
