// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/mamba/mamba_torch.h"

#include <utility>

#include "longwave/mixers/mamba/mamba.h"
#include "longwave/mixers/mamba/scan_path_torch.h"
#include "longwave/nn/linear_torch.h"
#include "longwave/ops/operand_torch.h"

namespace longwave::mixers::mamba {
namespace {

class MambaTorch : public TorchMixer {
 public:
  MambaTorch(const Shapes& shapes, TorchParameters parameters)
      : shapes_(shapes), parameters_(std::move(parameters)) {}

  bool packs() const override { return true; }
  bool narrows() const override { return true; }
  Projection input_projection() const override {
    return {parameters_("in_proj.weight"), optional("in_proj.bias", shapes_.bias)};
  }

 private:
  torch::Tensor optional(const char* name, bool present) const {
    return present ? parameters_(name) : torch::Tensor();
  }

  Output run(const Call& call) const override {
    const int64_t batch = call.projected.size(0), inner = shapes_.inner, state = shapes_.state;
    torch::Tensor history, h0;
    if (call.state.defined()) {
      const torch::Tensor row = call.state.to(ops::wide_type(call.projected));
      history = row.slice(1, 0, shapes_.history_size())
                    .view({batch, shapes_.width - 1, inner})
                    .to(call.projected.scalar_type());
      h0 = row.slice(1, shapes_.history_size()).view({batch, inner, state});
    }
    const ScanPathOutput scanned = scan_path({.xz = call.projected,
                                              .conv_w = parameters_("conv1d.weight").squeeze(1),
                                              .conv_b = optional("conv1d.bias", shapes_.conv_bias),
                                              .x_proj = parameters_("x_proj.weight"),
                                              .dt_proj = parameters_("dt_proj.weight"),
                                              .dt_bias = parameters_("dt_proj.bias"),
                                              .A = -torch::exp(parameters_("A_log")),
                                              .D = parameters_("D"),
                                              .history = history,
                                              .h0 = h0,
                                              .starts = call.starts});
    const torch::Tensor y = nn::linear(scanned.y, parameters_("out_proj.weight"),
                                       optional("out_proj.bias", shapes_.bias));
    if (!call.final_state) return {y, torch::Tensor()};
    return {y, torch::cat({ops::widened(scanned.history).reshape({batch, shapes_.history_size()}),
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
