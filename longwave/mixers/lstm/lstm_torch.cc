// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lstm/lstm_torch.h"

#include <utility>

#include "longwave/mixers/recurrent/recurrent_torch.h"
#include "longwave/ops/gated_rnn/gated_rnn_torch.h"

namespace longwave::mixers::lstm {
namespace {

class LstmTorch : public TorchMixer {
 public:
  LstmTorch(const RecurrentShapes& shapes, TorchParameters parameters)
      : shapes_(shapes), parameters_(std::move(parameters)) {}

  bool packs() const override { return true; }
  Projection input_projection() const override {
    return {parameters_("input.weight"), parameters_("input.bias")};
  }

 private:
  Output run(const Call& call) const override {
    const torch::Tensor state = state_or_zeros(call.state, call.projected, 2 * shapes_.hidden);
    const auto scanned = ops::lstm_scan(call.projected, parameters_("recurrent.weight"),
                                        state.slice(1, 0, shapes_.hidden),
                                        state.slice(1, shapes_.hidden), call.starts);
    return {recurrent_output(shapes_, scanned.y, parameters_),
            call.final_state ? torch::cat({scanned.h, scanned.c}, 1) : torch::Tensor()};
  }

  RecurrentShapes shapes_;
  TorchParameters parameters_;
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<LstmTorch>(RecurrentShapes(options, channels, 4), std::move(parameters));
}

}  // namespace longwave::mixers::lstm
