// SPDX-License-Identifier: Apache-2.0
//
// Lets the compiler use integer dot products on the SIMD target that has them; to be included after
// hwy/highway.h and before HWY_BEFORE_NAMESPACE, for each target anew.

#if HWY_TARGET == HWY_AVX3_DL
// Highway 1.0.3 asks the processor for VNNI at this level but does not tell the compiler; and the
// 256-bit form without AVX-512, which it does name, is not on every such processor.
#undef HWY_TARGET_STR
#define HWY_TARGET_STR HWY_TARGET_STR_AVX3 ",avx512vnni"
#endif
