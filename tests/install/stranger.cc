// SPDX-License-Identifier: Apache-2.0
// What a user of the library writes first: it must compile alone, link and answer.
#include <cstdio>

#include "longwave/longwave.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: stranger MODEL\n");
    return 2;
  }
  try {
    longwave::runtime::Session session(longwave::runtime::Model::load(argv[1]));
    std::printf("state of %zu floats\n", session.state().values.size());
  } catch (const longwave::Error& error) {
    std::printf("refused: %s\n", error.what());
  }
  return 0;
}
