// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <memory>

#include "longwave/base/function_ref.h"

namespace longwave::ops::gpu {

/// Work of torch on a GPU that was queued once and can be queued again in one go: a CUDA graph.
///
/// What the work reads and writes must lie where it lay when it was recorded. Tensors that it made
/// keep their memory as long as the recording lives; each replay writes them anew.
///
/// Threads    one owner at a time.
class Recording {
 public:
  /// Errors     DeviceError in a build without CUDA.
  Recording();
  ~Recording();

  /// Runs `work` where it can be recorded later, behind what is queued and before what will be. To
  /// run it so first loads its kernels and makes the memory of libraries.
  ///
  /// Errors     what `work` throws; what it queued until then is before what will be queued.
  void run(FunctionRef<void()> work);

  /// Records what `work` queues, instead of running it. Gives memory that torch keeps for later
  /// back to the driver first.
  ///
  /// Errors     what `work` throws; c10::Error if the driver cannot record it, because the host
  ///            waits for the GPU in it, say. The recording is then empty, and the work can be run.
  void record(FunctionRef<void()> work);

  /// Queues what was recorded.
  void replay();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace longwave::ops::gpu
