// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <memory>

#include "longwave/models/sequence_model.h"
#include "longwave/nn/linear_torch.h"

namespace longwave::models {

/// The training form of SequenceModel: the same parameter table registered as torch parameters
/// (kBuffer ones as buffers) under the same names with '.' replaced by '/'.
///
/// Takes raw units as the runtime does, but returns outputs in standardised units, for the loss:
/// a raw target y is compared as (y - decoder.shift) / decoder.scale.
///
/// Differentiable through initial and final states. `train()` and `eval()` switch dropout and
/// batch statistics, nothing else. After `to(torch::kFloat64)` it computes in float64, for gradient
/// checks.
///
/// Padding: with `lengths`, steps beyond a sequence's length change nothing within it: they enter
/// neither batch statistics nor the pooling, and mixers see zeros there. Per-step outputs there
/// are finite and meaningless.
///
/// Errors     InvalidArgument if shapes disagree; DataError if a tensor is missing or misshapen.
/// Threads    one forward pass at a time while training (running statistics).
class TorchSequenceModel : public torch::nn::Module {
 public:
  TorchSequenceModel(Config config, const Weights& weights);
  ~TorchSequenceModel() override;

  struct Call {
    torch::Tensor input{};     // (batch, time, input_size) float, raw units, or undefined
    torch::Tensor tokens{};    // (batch, time) int64, or undefined
    torch::Tensor lengths{};   // (batch) int64 valid steps, or undefined for all
    torch::Tensor state{};     // (batch, state_size), or undefined for zeros
    bool final_state = false;  // whether the state after the last step is wanted; not with lengths
    torch::Tensor dropout_seed{};  // as nn::Dropout takes it: its own for each training step
    torch::Tensor starts{};        // (batch, time) uint8 as in SequenceModel::Prefill, or undefined
    torch::Tensor label{};         // (batch, time) int64, -1 not asked, if the loss alone is wanted
  };
  struct Output {
    torch::Tensor output;  // (batch, output_size) or (batch, time, output_size), standardised units
    torch::Tensor state;   // undefined unless wanted

    /// What training adds to its loss so that experts share the work; undefined without experts.
    torch::Tensor balance = {};

    /// Instead of the output, where labels were given: as ops::vocabulary_loss.
    torch::Tensor loss = {};
  };
  Output forward(const Call& call);

  /// What signals are rounded to between the layers' parts from now on; kOwn until then.
  ///
  /// With kBfloat16 mixers, MLPs and the head over a vocabulary multiply in bfloat16; the residual
  /// stream, norms, states, experts and parameters with their gradients are float32. A forward pass
  /// under torch's autocast to bfloat16 does the same; autocast to another type is refused.
  void set_precision(nn::Precision precision);

  /// Whether `forward` takes labels: it saves the memory of the scores of a vocabulary, where they
  /// need no bias.
  bool takes_labels() const;

  const Config& config() const;

  /// The table that the parameters came from, for optimiser groups.
  const ParameterTable& table() const;

  /// The tensor registered for a table name.
  torch::Tensor parameter(const std::string& name) const;

  /// A copy of all parameters and buffers, as the runtime and checkpoints want them.
  Weights weights() const;

  /// Overwrites all parameters and buffers.
  void load(const Weights& weights);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace longwave::models
