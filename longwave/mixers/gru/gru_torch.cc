// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/gru/gru_torch.h"

#include <utility>

#include "longwave/mixers/recurrent/recurrent_torch.h"
#include "longwave/ops/gated_rnn/gated_rnn_torch.h"

namespace longwave::mixers::gru {
namespace {

class GruTorch : public RecurrentTorch {
 public:
  using RecurrentTorch::RecurrentTorch;

 private:
  Output run(const Call& call) const override {
    const auto scanned =
        ops::gru_scan(call.projected, parameter("recurrent.weight"), parameter("recurrent.bias"),
                      state_or_zeros(call.state, call.projected, hidden()), call.starts);
    return {output_of(scanned.y), call.final_state ? scanned.h : torch::Tensor()};
  }
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<GruTorch>(RecurrentShapes(options, channels, 3), std::move(parameters));
}

}  // namespace longwave::mixers::gru
