// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <memory>

#include "longwave/mixers/mixer_torch.h"
#include "longwave/mixers/s5/s5.h"

namespace longwave::mixers::s5 {

/// The training form of S5; the same parameters under the same names.
class S5Torch : public TorchMixer {
 public:
  S5Torch(const Options& options, int64_t channels, TorchParameters parameters);

  bool narrows() const override { return true; }

  using TorchMixer::forward;

  /// Samples that are not equally far apart, as S5::prefill_irregular; `intervals` (batch, time),
  /// with gradients for them too.
  ///
  /// Errors     InvalidArgument if the layer is bidirectional.
  Output forward(const Call& call, const torch::Tensor& intervals) const;

 private:
  Output run(const Call& call) const override;

  Settings settings_;
  TorchParameters parameters_;
};

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters);

}  // namespace longwave::mixers::s5
