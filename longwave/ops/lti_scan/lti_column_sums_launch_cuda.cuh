// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_carry_kernel_cuda.cuh"
#include "longwave/ops/lti_scan/lti_column_march_cuda.cuh"
#include "longwave/ops/lti_scan/lti_sum_parts_cuda.cuh"

namespace longwave::ops::lti_cuda {

// The gradient's sums of bfloat16 signals and up to kColumnMostModes modes, for Hopper.
struct ColumnSumsLaunch {
  ColumnMaps maps;  // of u and dy
  Lines lines;      // segments, if several, of a multiple of kColumnSteps
  View<const std::complex<float>, 2> a;
  View<const std::complex<float>, 3> h0;  // before each sequence
  Borders h, s;                           // before each segment, if there are several of them
  Parts parts;                            // out
  Ends ends;                              // out, after all whole chunks
};

void queue_column_sums(const ColumnSumsLaunch& launch, cudaStream_t stream, const char* where);

}  // namespace longwave::ops::lti_cuda
