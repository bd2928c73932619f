// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba/mamba_torch.h"

#include <utility>

#include "longwave/mixers/mamba/mamba.h"
#include "longwave/mixers/rows_torch.h"
#include "longwave/ops/causal_conv1d/causal_conv1d_torch.h"
#include "longwave/ops/selective_scan/selective_scan_torch.h"

namespace longwave::mixers::mamba {
namespace {

class MambaTorch : public TorchMixer {
 public:
  MambaTorch(const Shapes& shapes, TorchParameters parameters)
      : shapes_(shapes), parameters_(std::move(parameters)) {}

  bool packs() const override { return true; }

 private:
  Output run(const Call& call) const override {
    const int64_t batch = call.u.size(0), inner = shapes_.inner, state = shapes_.state;
    torch::Tensor history, h0;
    if (call.state.defined()) {
      const torch::Tensor row = call.state.to(call.u.scalar_type());
      history = row.slice(1, 0, shapes_.history_size()).view({batch, shapes_.width - 1, inner});
      h0 = row.slice(1, shapes_.history_size()).view({batch, inner, state});
    }
    const torch::Tensor xz =
        linear_rows(call.u, parameters_("in_proj.weight"),
                    shapes_.bias ? parameters_("in_proj.bias") : torch::Tensor());
    // One node for both halves, so that their gradients are joined once.
    const auto halves = xz.split_with_sizes({inner, inner}, 2);
    const auto conv =
        ops::causal_conv1d({.activation = ops::ConvActivation::kSilu,
                            .x = halves[0],
                            .w = parameters_("conv1d.weight").squeeze(1),
                            .b = shapes_.conv_bias ? parameters_("conv1d.bias") : torch::Tensor(),
                            .history = history,
                            .starts = call.starts});
    const torch::Tensor selections = linear_rows(conv.y, parameters_("x_proj.weight"), {});
    const auto parts =
        selections.split_with_sizes({shapes_.dt_rank, shapes_.state, shapes_.state}, 2);
    const auto scanned =
        ops::selective_scan({.u = conv.y,
                             .dt = linear_rows(parts[0], parameters_("dt_proj.weight"), {}),
                             .A = -torch::exp(parameters_("A_log")),
                             .B = parts[1].unsqueeze(2),
                             .C = parts[2].unsqueeze(2),
                             .D = parameters_("D"),
                             .dt_bias = parameters_("dt_proj.bias"),
                             .z = halves[1],
                             .h0 = h0,
                             .starts = call.starts});
    const torch::Tensor y =
        linear_rows(scanned.y, parameters_("out_proj.weight"),
                    shapes_.bias ? parameters_("out_proj.bias") : torch::Tensor());
    if (!call.final_state) return {y, torch::Tensor()};
    return {y, torch::cat({conv.history.reshape({batch, shapes_.history_size()}),
                           scanned.h.reshape({batch, inner * state})},
                          1)};
  }

  Shapes shapes_;
  TorchParameters parameters_;
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<MambaTorch>(Shapes(options, channels), std::move(parameters));
}

}  // namespace longwave::mixers::mamba
