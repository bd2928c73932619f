// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "longwave/base/options.h"

namespace longwave::mixers {

/// Looks a parameter of one layer up by the name that its table gives it.
using TorchParameters = std::function<torch::Tensor(const std::string& name)>;

/// The same layer as `Mixer`, as a differentiable function of its parameters.
///
/// States have the layout of the torch-free layer, so that they may be exchanged with it.
class TorchMixer {
 public:
  virtual ~TorchMixer() = default;

  /// A linear map u W^T + b.
  struct Projection {
    torch::Tensor W;  // (projected, channels), or undefined for no map
    torch::Tensor b;  // (projected), or undefined for 0
  };
  /// The map through which alone the family reads u, if there is one: then a call may bring the
  /// outcome in place of u, from where it takes less to keep for the gradient.
  virtual Projection input_projection() const { return {}; }

  struct Call {
    torch::Tensor u = {};          // (batch, time, channels)
    torch::Tensor state = {};      // (batch, state_size), or undefined for zeros
    bool final_state = false;      // whether the state after the last step is wanted
    torch::Tensor starts = {};     // (batch, time) uint8 as in Mixer::Prefill, or undefined
    torch::Tensor projected = {};  // (batch, time, projected) in place of u, or undefined
  };
  struct Output {
    torch::Tensor y;      // (batch, time, channels)
    torch::Tensor state;  // (batch, state_size), undefined unless wanted
  };
  /// Differentiable in u, state and every parameter, through both outputs.
  ///
  /// u may be of 16 bits beside parameters in float32: then y is too, and so are the large products
  /// and what is kept for the gradient, where the family `narrows`; other families, and all with
  /// float16 on the CPU, compute in float32. States are float32 then. Where autocast is on, a u of
  /// float32 is rounded to its type first, y is float32, and parameters stay as they are.
  /// Errors     InvalidArgument if sequences are packed for a family that cannot tell them apart.
  Output forward(const Call& call) const;

  /// Whether the family takes `starts`.
  virtual bool packs() const { return false; }

  /// Whether the family has a form for signals of 16 bits.
  virtual bool narrows() const { return false; }

 private:
  /// `forward` of a call whose `starts` are known to be allowed and whose type is the family's;
  /// with `projected` if there is an `input_projection`, and then not always with u.
  virtual Output run(const Call& call) const = 0;
};

/// Makes the torch form of the family called `name`; parameters are looked up at each forward.
/// float64 parameters give float64 arithmetic, for gradient checks.
std::unique_ptr<TorchMixer> make_torch_mixer(std::string_view name, const Options& options,
                                             int64_t channels, TorchParameters parameters);

}  // namespace longwave::mixers
