// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "longwave/base/function_ref.h"
#include "longwave/ops/cuda/recording_torch.h"
#include "longwave/train/batch.h"

namespace longwave::train {

/// What a forward and backward pass reads beside the weights.
struct Feed {
  Batch batch;
  torch::Tensor dropout_seed;
};

/// The feed on a device, as to_device of batch.h.
Feed to_device(const Feed& feed, const torch::Device& device);

/// The passes of a training step on a GPU, which are recorded where that is possible, so that the
/// host queues them in one go: train.graphs.
///
/// Steps are recorded once kWarmUps in a row had feeds of the same shapes, and replayed from then
/// on for feeds of these shapes; others are run. Both give the same bits. Memory that the recorded
/// passes use stays theirs. If they cannot be recorded, all are run, and `refusal` says why.
///
/// The update of the weights is not part of it: the host queues it while the GPU is busy with the
/// passes, so that rates and counts need no place on the GPU.
///
/// Threads    one owner at a time.
class RecordedPasses {
 public:
  static constexpr int64_t kWarmUps = 2;

  /// Finds gradients from feeds on the GPU and leaves them as new tensors; gives numbers.
  using Passes = FunctionRef<torch::Tensor(const std::vector<Feed>&)>;

  /// `parameters` are those whose gradients the passes find.
  RecordedPasses(std::vector<torch::Tensor> parameters, const torch::Device& device);

  /// What `passes` gives for these feeds, which are on the CPU, and the gradients that it leaves.
  torch::Tensor run(const std::vector<Feed>& feeds, Passes passes);

  bool recorded() const { return !gradients_.empty(); }
  const std::string& refusal() const { return refusal_; }

 private:
  void record(const std::vector<Feed>& feeds, Passes passes);
  torch::Tensor replay(const std::vector<Feed>& feeds);

  std::vector<torch::Tensor> parameters_;
  torch::Device device_;
  ops::gpu::Recording recording_;
  std::vector<Feed> feeds_;               // of the recording, or of the last step on the CPU
  int64_t alike_ = 0;                     // steps in a row that had the shapes of feeds_
  std::vector<torch::Tensor> gradients_;  // of the recording, one a parameter
  torch::Tensor numbers_;
  std::string refusal_;
};

}  // namespace longwave::train
