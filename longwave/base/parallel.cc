// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/parallel.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <string>

#include "longwave/base/error.h"

namespace longwave {

int thread_count() { return omp_get_max_threads(); }

void set_thread_count(int count) {
  if (count < 1) {
    throw InvalidArgument({.where = "threads",
                           .what = "at least one thread is needed",
                           .got = std::to_string(count),
                           .fix = {}});
  }
  omp_set_num_threads(count);
}

void parallel_for(int64_t count, int64_t grain, FunctionRef<void(int64_t, int64_t)> body) {
  if (count <= 0) return;
  const int64_t most_pieces =
      (count + std::max<int64_t>(grain, 1) - 1) / std::max<int64_t>(grain, 1);
  const int64_t pieces = std::min<int64_t>(most_pieces, thread_count());
  if (pieces <= 1 || omp_in_parallel()) {
    body(0, count);
    return;
  }
  std::exception_ptr failure;
#pragma omp parallel for num_threads(static_cast <int>(pieces)) schedule(static, 1)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    try {
      body(count * piece / pieces, count * (piece + 1) / pieces);
    } catch (...) {
#pragma omp critical(longwave_parallel_for)
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace longwave
