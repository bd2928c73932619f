// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba2/mamba2_torch.h"

#include <utility>

#include "longwave/mixers/mamba2/mamba2.h"
#include "longwave/mixers/rows_torch.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_torch.h"
#include "longwave/ops/gated_norm/gated_norm_torch.h"
#include "longwave/ops/ssd/ssd_torch.h"

namespace longwave::mixers::mamba2 {
namespace {

class Mamba2Torch : public TorchMixer {
 public:
  Mamba2Torch(const Settings& settings, TorchParameters parameters)
      : settings_(settings), parameters_(std::move(parameters)) {}

  bool packs() const override { return true; }

 private:
  torch::Tensor optional(const char* name, bool present) const {
    return present ? parameters_(name) : torch::Tensor();
  }

  /// The scan of x, B and C side by side.
  ops::SsdOutput scan(const torch::Tensor& xBC, const torch::Tensor& dt, const torch::Tensor& h0,
                      const torch::Tensor& starts) const {
    const int64_t heads = settings_.heads, groups = settings_.groups, state = settings_.state;
    const auto parts = xBC.split_with_sizes({settings_.inner, groups * state, groups * state}, 2);
    const auto split = [&](const torch::Tensor& x, int64_t count) {
      return x.view({x.size(0), x.size(1), count, x.size(2) / count});
    };
    torch::Tensor D = parameters_("D");
    if (settings_.skip_per_channel) D = D.view({heads, settings_.head_dim});
    return ops::ssd({.x = split(parts[0], heads),
                     .dt = dt,
                     .A = -torch::exp(parameters_("A_log")),
                     .B = split(parts[1], groups),
                     .C = split(parts[2], groups),
                     .D = D,
                     .dt_bias = parameters_("dt_bias"),
                     .h0 = h0,
                     .starts = starts,
                     .dt_min = settings_.dt_least,
                     .dt_max = settings_.dt_most});
  }

  torch::Tensor gated(const torch::Tensor& y, const torch::Tensor& z) const {
    if (!settings_.has_norm) return y * torch::silu(z);
    return ops::gated_norm({.order = settings_.order,
                            .groups = settings_.norm_groups,
                            .x = y,
                            .z = z,
                            .w = parameters_("norm.weight")});
  }

  Output run(const Call& call) const override {
    const int64_t batch = call.u.size(0), time = call.u.size(1), inner = settings_.inner;
    torch::Tensor history, h0;
    if (call.state.defined()) {
      const torch::Tensor row = call.state.to(call.u.scalar_type());
      history = row.slice(1, 0, settings_.history_size())
                    .view({batch, settings_.width - 1, settings_.convolved()});
      h0 = row.slice(1, settings_.history_size())
               .view({batch, settings_.heads, settings_.head_dim, settings_.state});
    }
    const torch::Tensor projected = linear_rows(call.u, parameters_("in_proj.weight"),
                                                optional("in_proj.bias", settings_.bias));
    const auto parts =
        projected.split_with_sizes({inner, settings_.convolved(), settings_.heads}, 2);
    const auto conv = ops::causal_conv1d({.activation = ops::ConvActivation::kSilu,
                                          .x = parts[1],
                                          .w = parameters_("conv1d.weight").squeeze(1),
                                          .b = optional("conv1d.bias", settings_.conv_bias),
                                          .history = history,
                                          .starts = call.starts});
    const ops::SsdOutput scanned = scan(conv.y, parts[2], h0, call.starts);
    const torch::Tensor y =
        linear_rows(gated(scanned.y.reshape({batch, time, inner}), parts[0]),
                    parameters_("out_proj.weight"), optional("out_proj.bias", settings_.bias));
    if (!call.final_state) return {y, torch::Tensor()};
    return {y, torch::cat({conv.history.reshape({batch, settings_.history_size()}),
                           scanned.h.reshape({batch, inner * settings_.state})},
                          1)};
  }

  Settings settings_;
  TorchParameters parameters_;
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<Mamba2Torch>(Settings(options, channels), std::move(parameters));
}

}  // namespace longwave::mixers::mamba2
