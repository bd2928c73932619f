// SPDX-License-Identifier: Apache-2.0
// The same by the C interface, which asks for nothing that the library is made of.
#include <cstdio>

#include "longwave/longwave_c.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: stranger_c MODEL\n");
    return 2;
  }
  longwave_model* model = nullptr;
  if (longwave_model_load(argv[1], &model) != LONGWAVE_OK) {
    std::printf("refused: %s\n", longwave_last_error());
  }
  longwave_model_free(model);
  return 0;
}
