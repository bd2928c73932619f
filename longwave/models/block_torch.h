// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>

#include "longwave/mixers/mixer_torch.h"
#include "longwave/models/block.h"
#include "longwave/nn/dropout_torch.h"
#include "longwave/nn/linear_torch.h"
#include "longwave/nn/norm_torch.h"
#include "longwave/nn/residual_torch.h"

namespace longwave::models {

/// The training form of Block.
///
/// Dropout acts once at the end of each residual branch, and nowhere else.
class TorchBlock {
 public:
  /// `name` is the layer's place in the model; `parameters` are seen from there.
  TorchBlock(const BlockConfig& config, const Options& options, const std::string& name,
             nn::ParameterLookup parameters);

  struct Context {
    nn::Phase training;
    torch::Tensor valid;         // (batch, time) uint8, or undefined for all
    torch::Tensor dropout_seed;  // of this forward pass, as nn::Dropout takes it
    bool final_state;
    torch::Tensor starts;                           // (batch, time) uint8, or undefined
    nn::Precision precision = nn::Precision::kOwn;  // of mixer, mixing and MLP
  };
  struct Output {
    nn::Residual x;
    torch::Tensor state;
    torch::Tensor balance = {};  // the loss of the experts' balance, weighted; or undefined
  };
  /// x (batch, time, channels); state (batch, state_size) or undefined for zeros.
  Output forward(const nn::Residual& x, const torch::Tensor& state, const Context& context) const;

 private:
  torch::Tensor mask(const torch::Tensor& x, const Context& context, const char* branch) const;
  torch::Tensor norm(const char* name, const torch::Tensor& x, const Context& context,
                     nn::Precision precision = nn::Precision::kOwn) const;

  /// What a branch reads of the residual stream, which is settled, in the context's precision.
  torch::Tensor signal(const char* name, nn::Residual& x, const Context& context) const;

  /// The stream x with the mixer's branch v, which whoever reads the stream may have to add.
  nn::Residual with_branch(const torch::Tensor& x, const torch::Tensor& v,
                           const Context& context) const;

  /// The mixer's answer to the residual stream, which is settled.
  mixers::TorchMixer::Output mix(nn::Residual& x, const torch::Tensor& state,
                                 const Context& context) const;

  BlockConfig config_;
  std::string name_;
  nn::ParameterLookup parameters_;
  double dropout_;
  bool dropout_tied_;
  std::unique_ptr<mixers::TorchMixer> mixer_;
};

}  // namespace longwave::models
