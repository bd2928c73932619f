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

/// Blocks that keep a GPU busy.
inline constexpr int64_t kLtiBlocks = 128;

/// Steps that a block holds at once.
inline constexpr int64_t kLtiStage = 32;

/// A block of the scan through boxes of the copy engine sees to so many steps of so many channels
/// and lines at once.
inline constexpr int64_t kLtiBoxStage = 512, kLtiBoxChannels = 16, kLtiBoxLines = 2;
/// Steps of the shortest segments that find the states between longer ones.
inline constexpr int64_t kLtiBoxCarry = 256;

/// Cuts sequences into at most that many segments of a multiple of `stage` steps.
LtiCut lti_cut(int64_t time, int64_t segments, int64_t stage = kLtiStage);

/// How the scan and the sums of its gradient are spread over a GPU. Where `boxes` have steps, they
/// take the place of `scan` for operands and GPUs that allow it: bfloat16 on a Hopper, in rows of
/// 16 bytes, with up to kLtiScanCudaModes modes; their segments have a multiple of kLtiBoxStage
/// steps: see lti_box_pass_cuda.h. `grad_boxes` take the place of the gradient's scan and sums in
/// the same way, with whole sequences, where no gradient of the final state is given.
struct LtiScanPlan {
  LtiCut scan, sums;
  LtiCut boxes = {};
  bool grad_boxes = false;
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
