// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/ops/lti_scan/lti_scan_cuda.h"

namespace longwave::ops {

/// Sequences as segments that are scanned side by side.
struct LtiCut {
  int64_t segments = 1;
  int64_t steps = 0;  ///< of each segment but the last; a multiple of kLtiStage
};

/// Steps that a block holds at once.
inline constexpr int64_t kLtiStage = 32;

/// Cuts sequences into at most that many segments.
LtiCut lti_cut(int64_t time, int64_t segments);

/// How the scan and the sums of its gradient are spread over a GPU.
struct LtiScanPlan {
  LtiCut scan, sums;
};

/// The plan that fills a GPU; the shapes alone decide.
template <typename T>
LtiScanPlan lti_scan_plan(const LtiScanCudaSize& size);

/// Bytes of device memory that a plan takes, for the scan and for the gradient.
template <typename T>
size_t lti_scan_plan_bytes(const LtiScanCudaSize& size, const LtiScanPlan& plan);
template <typename T>
size_t lti_scan_grad_plan_bytes(const LtiScanCudaSize& size, const LtiScanPlan& plan);

/// lti_scan_cuda and its gradient by a given plan, for tests and measurements.
template <typename T>
void lti_scan_by_plan(const LtiScanCudaArgs<T>& args, const LtiScanPlan& plan,
                      std::span<std::byte> workspace, CUstream_st* stream);
template <typename T>
void lti_scan_grad_by_plan(const LtiScanCudaGradArgs<T>& args, const LtiScanPlan& plan,
                           std::span<std::byte> workspace, CUstream_st* stream);

}  // namespace longwave::ops
