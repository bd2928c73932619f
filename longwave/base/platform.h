// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The only place where the compiler is asked what it is.

#if defined(__CUDACC__)
#define LONGWAVE_HD __host__ __device__
#else
#define LONGWAVE_HD
#endif

/// True in builds that check every index and invariant.
#if defined(LONGWAVE_HARDENED) || !defined(NDEBUG)
#define LONGWAVE_CHECKED 1
#else
#define LONGWAVE_CHECKED 0
#endif
