// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/lstm/lstm_torch.h"

#include <utility>

#include "longwave/mixers/recurrent/recurrent_torch.h"
#include "longwave/ops/gated_rnn/gated_rnn_torch.h"

namespace longwave::mixers::lstm {
namespace {

class LstmTorch : public RecurrentTorch {
 public:
  using RecurrentTorch::RecurrentTorch;

 private:
  Output run(const Call& call) const override {
    const torch::Tensor state = state_or_zeros(call.state, call.projected, 2 * hidden());
    const auto scanned =
        ops::lstm_scan(call.projected, parameter("recurrent.weight"), state.slice(1, 0, hidden()),
                       state.slice(1, hidden()), call.starts);
    return {output_of(scanned.y),
            call.final_state ? torch::cat({scanned.h, scanned.c}, 1) : torch::Tensor()};
  }
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<LstmTorch>(RecurrentShapes(options, channels, 4), std::move(parameters));
}

}  // namespace longwave::mixers::lstm
