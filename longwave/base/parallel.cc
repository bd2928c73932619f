// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/parallel.h"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <string>

#include "longwave/base/error.h"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace longwave {
namespace {

// libgomp is not built for the thread sanitizer, which therefore does not see that a team starts
// after all that came before it and ends before all that follows. These tell it.
#if defined(__SANITIZE_THREAD__)
void comes_before(void* mark) { __tsan_release(mark); }
void comes_after(void* mark) { __tsan_acquire(mark); }
#else
void comes_before(void*) {}
void comes_after(void*) {}
#endif

}  // namespace

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
  std::mutex guard;
  char fork = 0, join = 0;
  comes_before(&fork);
#pragma omp parallel for num_threads(static_cast <int>(pieces)) schedule(static, 1)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    comes_after(&fork);
    try {
      body(count * piece / pieces, count * (piece + 1) / pieces);
    } catch (...) {
      const std::lock_guard lock(guard);
      if (!failure) failure = std::current_exception();
    }
    comes_before(&join);
  }
  comes_after(&join);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace longwave
