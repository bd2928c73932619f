// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <utility>

#include "longwave/base/parameter.h"
#include "longwave/base/tensor.h"
#include "longwave/data/loader.h"

namespace longwave::train {

/// Sequences of one forward pass as torch tensors; only what TaskInfo names is defined.
struct Batch {
  torch::Tensor input;    // (batch, time, input_size) float
  torch::Tensor tokens;   // (batch, time) int64
  torch::Tensor lengths;  // (batch) int64, or undefined if all fill the batch
  torch::Tensor value;    // (batch, target_size) or (batch, time, target_size) float, NaN not asked
  torch::Tensor label;    // (batch) or (batch, time) int64, -1 not asked

  int64_t sequences() const { return input.defined() ? input.size(0) : tokens.size(0); }
  int64_t steps() const { return sequences() * (input.defined() ? input.size(1) : tokens.size(1)); }
};

/// The tensors of a batch with their names in files.
std::span<const std::pair<const char*, torch::Tensor Batch::*>> parts_of_batches();

/// A copy as torch sees it: float32, int64 and int32 tensors.
torch::Tensor to_torch(const Tensor& tensor);

/// The other way round; copies, whatever the strides.
Tensor from_torch(const torch::Tensor& tensor);

/// A loader's batch for a task of this kind; lengths only where sequences are padded.
Batch to_torch(const data::TaskInfo& info, const data::Batch& batch);

/// The tensor on a device, shared if it is there already; undefined stays so. A GPU is not waited
/// for.
torch::Tensor to_device(const torch::Tensor& tensor, const torch::Device& device);

/// The batch on a device, part by part likewise.
Batch to_device(const Batch& batch, const torch::Device& device);

/// The tensors of a batch under "prefix.input", "prefix.label", ..., and back.
void put(Weights& weights, const std::string& prefix, const Batch& batch);
Batch get(const Weights& weights, const std::string& prefix);

/// Errors     DataError if a batch asks for nothing at all. Look at it before it goes to a GPU.
void require_targets(const data::TaskInfo& info, const Batch& batch);

/// The loss of a model's output on a batch, averaged over what is asked; NaN if nothing is.
///
///   classes   mean of -log softmax(output)[label]
///   values    mean of (output - (value - shift) / scale)^2: standardised units
///
/// Nothing is copied to a GPU, and none is waited for.
class Loss {
 public:
  Loss(const data::TaskInfo& info, const torch::Device& device);

  torch::Tensor operator()(const torch::Tensor& output, const Batch& batch) const;

 private:
  bool classes_;
  torch::Tensor shift_, scale_;  // (target_size), or undefined for none
};

}  // namespace longwave::train
