// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/base/function_ref.h"

namespace longwave {

/// Threads that `parallel_for` may use; at least 1.
int thread_count();

/// Sets the number of threads for the whole process. Throws InvalidArgument below 1.
void set_thread_count(int count);

/// Runs `body(begin, end)` over [0, count) in pieces of at least `grain` items, on one OpenMP pool.
///
/// The pieces cover the range once. Inside a parallel region it runs serially, so nesting is safe.
/// How the range is cut depends on the number of threads: a body whose result must not, computes
/// each item the same way whichever piece it lands in. Never allocates.
///
/// Errors     the first exception of a body is rethrown in the caller after all have ended.
/// Threads    may be called from any thread; `body` runs concurrently with itself.
void parallel_for(int64_t count, int64_t grain, FunctionRef<void(int64_t, int64_t)> body);

}  // namespace longwave
