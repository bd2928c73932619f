// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave {

/// Bytes of memory that this process holds now; 0 where the system does not tell.
int64_t resident_bytes();

/// The most bytes that this program has held since it was started.
///
/// Where the system tells (Linux), this is VmHWM and not `getrusage`: the latter is handed on by
/// fork and exec, so that a small program started by a large one would seem large.
int64_t peak_resident_bytes();

}  // namespace longwave
