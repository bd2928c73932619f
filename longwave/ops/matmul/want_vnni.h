// SPDX-License-Identifier: Apache-2.0
#pragma once

// For sources that include this before Highway: its target with dot products of bytes, too.
//
// Not without optimisation, when HWY_INLINE (hwy/base.h) inlines nothing: all sources then share
// the one function that chooses among targets, and so must have the same ones.
#ifdef __OPTIMIZE__
#define HWY_WANT_AVX3_DL
#endif
