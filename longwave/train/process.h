// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/train/metrics_log.h"

namespace longwave::train {

/// Starts this program again, once, with environment variables that libraries read before `main`:
///
///   OPENBLAS_CORETYPE=SkylakeX    where OpenBLAS 0.3.21 does not know an AMD processor that has
///                                 AVX-512 and would take kernels half as fast
///   GLIBC_TUNABLES                arenas that keep their memory, in huge pages
///   OMP_WAIT_POLICY=passive       threads that wait sleep: on a machine that does other work too,
///                                 spinning at every barrier costs several times the work itself
///
/// Variables that are set already are left alone. Returns if there is nothing to change, or if the
/// program was started again by this function already. Call it before any work.
void restart_with_fast_libraries();

/// Settings of this process that make training several times faster: memory that was freed stays
/// mapped (page faults on large temporaries dominate otherwise) and serves again, denormal numbers
/// count as zero, and libtorch and longwave use `threads` threads (0 = one a core).
void prepare_process(int64_t threads);

/// What decides speed and the last bits of a run on this machine: libraries, processor, threads,
/// environment variables.
Record environment();

}  // namespace longwave::train
