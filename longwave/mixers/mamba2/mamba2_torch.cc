// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba2/mamba2_torch.h"

#include <utility>

#include "longwave/mixers/mamba2/mamba2.h"
#include "longwave/mixers/mamba2/scan_path_torch.h"
#include "longwave/ops/operand_torch.h"

namespace longwave::mixers::mamba2 {
namespace {

class Mamba2Torch : public TorchMixer {
 public:
  Mamba2Torch(const Settings& settings, TorchParameters parameters)
      : settings_(settings), parameters_(std::move(parameters)) {}

  bool packs() const override { return true; }
  bool narrows() const override { return true; }
  Projection input_projection() const override {
    return {parameters_("in_proj.weight"), optional("in_proj.bias", settings_.bias)};
  }

 private:
  torch::Tensor optional(const char* name, bool present) const {
    return present ? parameters_(name) : torch::Tensor();
  }

  Output run(const Call& call) const override {
    const int64_t batch = call.projected.size(0), inner = settings_.inner;
    torch::Tensor history, h0;
    if (call.state.defined()) {
      const torch::Tensor row = call.state.to(ops::wide_type(call.projected));
      history = row.slice(1, 0, settings_.history_size())
                    .view({batch, settings_.width - 1, settings_.convolved()})
                    .to(call.projected.scalar_type());
      h0 = row.slice(1, settings_.history_size())
               .view({batch, settings_.heads, settings_.head_dim, settings_.state});
    }
    torch::Tensor D = parameters_("D");
    if (settings_.skip_per_channel) D = D.view({settings_.heads, settings_.head_dim});
    const ScanPathOutput scanned =
        scan_path(settings_, {.projected = call.projected,
                              .conv_w = parameters_("conv1d.weight").squeeze(1),
                              .conv_b = optional("conv1d.bias", settings_.conv_bias),
                              .A = -torch::exp(parameters_("A_log")),
                              .D = D,
                              .dt_bias = parameters_("dt_bias"),
                              .norm_w = optional("norm.weight", settings_.has_norm),
                              .out_proj_w = parameters_("out_proj.weight"),
                              .out_proj_b = optional("out_proj.bias", settings_.bias),
                              .history = history,
                              .h0 = h0,
                              .starts = call.starts});
    if (!call.final_state) return {scanned.y, torch::Tensor()};
    return {scanned.y,
            torch::cat({ops::widened(scanned.history).reshape({batch, settings_.history_size()}),
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
