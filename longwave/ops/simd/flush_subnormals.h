// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace longwave::ops {

/// While it lives, this thread's floating-point unit takes and gives zero for subnormal numbers.
///
/// A decaying state ends in subnormals, which many processors handle a hundred times slower than
/// other numbers. Kernels hold one of these in every worker; where the processor offers no such
/// mode it does nothing.
///
/// Threads    changes the calling thread only, and puts the former mode back.
class FlushSubnormals {
 public:
  FlushSubnormals();
  ~FlushSubnormals();
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  uint64_t former_;
};

}  // namespace longwave::ops
