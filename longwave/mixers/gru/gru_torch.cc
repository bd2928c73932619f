// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/gru/gru_torch.h"

#include <utility>

#include "longwave/mixers/recurrent/recurrent_torch.h"
#include "longwave/ops/gated_rnn/gated_rnn_torch.h"

namespace longwave::mixers::gru {
namespace {

class GruTorch : public TorchMixer {
 public:
  GruTorch(const RecurrentShapes& shapes, TorchParameters parameters)
      : shapes_(shapes), parameters_(std::move(parameters)) {}

  bool packs() const override { return true; }
  Projection input_projection() const override {
    return {parameters_("input.weight"), parameters_("input.bias")};
  }

 private:
  Output run(const Call& call) const override {
    const auto scanned = ops::gru_scan(
        call.projected, parameters_("recurrent.weight"), parameters_("recurrent.bias"),
        state_or_zeros(call.state, call.projected, shapes_.hidden), call.starts);
    return {recurrent_output(shapes_, scanned.y, parameters_),
            call.final_state ? scanned.h : torch::Tensor()};
  }

  RecurrentShapes shapes_;
  TorchParameters parameters_;
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<GruTorch>(RecurrentShapes(options, channels, 3), std::move(parameters));
}

}  // namespace longwave::mixers::gru
