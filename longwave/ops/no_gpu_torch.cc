// SPDX-License-Identifier: Apache-2.0

/// What stands in for the backends of a GPU in a build without them.

#include <cstdint>
#include <limits>

#include "longwave/base/error.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_device_torch.h"
#include "longwave/ops/cuda/device_torch.h"
#include "longwave/ops/cuda/peak_memory_torch.h"
#include "longwave/ops/cuda/recording_torch.h"
#include "longwave/ops/cuda/to_host_torch.h"
#include "longwave/ops/gated_norm/gated_norm_device_torch.h"
#include "longwave/ops/linear_scan/linear_scan_device_torch.h"
#include "longwave/ops/lti_scan/lti_scan_device_torch.h"
#include "longwave/ops/selective_scan/selective_scan_device_torch.h"
#include "longwave/ops/ssd/ssd_device_torch.h"
#include "longwave/ops/vocabulary_loss/vocabulary_loss_device_torch.h"

namespace longwave::ops {

using torch::Tensor;

namespace gpu {

void refuse_device(const char* where) {
  throw DeviceError(
      {.where = where,
       .what = "the operands are on a GPU, where it does not run in this build",
       .got = {},
       .fix = "set train.device = \"cpu\", or build with CUDA and a libtorch for it"});
}

CUstream_st* current_stream() { refuse_device("current_stream"); }
Tensor to_host(const Tensor&, FunctionRef<void()>) { refuse_device("to_host"); }
int64_t peak_bytes() { refuse_device("peak_bytes"); }

struct Recording::Parts {};
Recording::Recording() { refuse_device("recording"); }
Recording::~Recording() = default;
void Recording::run(FunctionRef<void()>) { refuse_device("recording"); }
void Recording::record(FunctionRef<void()>) { refuse_device("recording"); }
void Recording::replay() { refuse_device("recording"); }

}  // namespace gpu

bool causal_conv1d_runs_on_device(const Tensor&, int64_t) { return false; }
void causal_conv1d_on_device(const CausalConv1dInput&, const CausalConv1dOutput&) {
  gpu::refuse_device("causal_conv1d");
}
void causal_conv1d_backward_on_device(const CausalConv1dInput&, const CausalConv1dOutput&,
                                      const CausalConv1dInput&) {
  gpu::refuse_device("causal_conv1d");
}

bool gated_norm_runs_on_device(const Tensor&) { return false; }
void gated_norm_on_device(const GatedNormOnDevice&) { gpu::refuse_device("gated_norm"); }
void gated_norm_backward_on_device(const GatedNormGradOnDevice&) {
  gpu::refuse_device("gated_norm");
}

bool linear_scan_runs_on_device(const Tensor&) { return false; }
void linear_scan_on_device(const Tensor&, const Tensor&, const Tensor&, const LinearScanOutput&) {
  gpu::refuse_device("linear_scan");
}
void linear_scan_backward_on_device(const LinearScanSaved&, const LinearScanGradients&) {
  gpu::refuse_device("linear_scan");
}

bool lti_scan_runs_on_device(const Tensor&) { return false; }
void lti_scan_on_device(const LtiScanTensors&, const LtiScanOutput&) {
  gpu::refuse_device("lti_scan");
}
void lti_scan_backward_on_device(const LtiScanTensors&, const LtiScanOutput&,
                                 const LtiScanTensors&) {
  gpu::refuse_device("lti_scan");
}

bool selective_scan_runs_on_device(const Tensor&) { return false; }
int64_t selective_scan_device_states() { return std::numeric_limits<int64_t>::max(); }
void selective_scan_on_device(const SelectiveScanTensors&, const SelectiveScanOutput&,
                              const Tensor&) {
  gpu::refuse_device("selective_scan");
}
void selective_scan_backward_on_device(const SelectiveScanTensors&, const Tensor&,
                                       const SelectiveScanOutput&, const SelectiveScanTensors&) {
  gpu::refuse_device("selective_scan");
}

bool ssd_runs_on_device(const Tensor&, int64_t) { return false; }
void ssd_on_device(const SsdInput&, const SsdOutput&) { gpu::refuse_device("ssd"); }
void ssd_backward_on_device(const SsdInput&, const SsdOutput&, const SsdInput&) {
  gpu::refuse_device("ssd");
}

bool softmax_loss_runs_on_device(const Tensor&) { return false; }
void softmax_loss_on_device(const SoftmaxLossTensors&) { gpu::refuse_device("vocabulary_loss"); }

}  // namespace longwave::ops
