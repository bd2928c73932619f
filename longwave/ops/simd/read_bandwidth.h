// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace longwave::ops {

/// The ceiling of whatever reads weights once: bytes a second that the threads of `parallel_for`
/// read from memory, from several places at a time, doing next to nothing with them.
///
/// Numerics   the best of several passes over 256 MiB, more than caches hold.
/// Cost       about 100 milliseconds after the first call, which also fills the memory.
/// Threads    one call at a time.
double measured_read_bandwidth();

}  // namespace longwave::ops
