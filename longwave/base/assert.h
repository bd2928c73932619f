// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/base/platform.h"

namespace longwave {

/// Reports a broken invariant of our own and ends the program; never used for what a user did.
[[noreturn]] void assert_failed(const char* condition, const char* why, const char* file, int line);

}  // namespace longwave

/// Holds an invariant of ours: checked in debug and hardened builds, free otherwise.
#if LONGWAVE_CHECKED && !defined(__CUDA_ARCH__)
#define LONGWAVE_ASSERT(condition, why) \
  ((condition) ? void(0) : ::longwave::assert_failed(#condition, why, __FILE__, __LINE__))
#else
#define LONGWAVE_ASSERT(condition, why) void(0)
#endif
