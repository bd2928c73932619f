// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace longwave {

void assert_failed(const char* condition, const char* why, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: longwave bug: %s (%s)\n", file, line, why, condition);
  std::abort();
}

}  // namespace longwave
