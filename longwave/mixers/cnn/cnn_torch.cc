// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/cnn/cnn_torch.h"

#include <utility>

#include "longwave/mixers/recurrent/recurrent_torch.h"

namespace longwave::mixers::cnn {
namespace {

/// (batch, time): the step at which the sequence of each step began; -1 if before the call.
torch::Tensor beginnings(const torch::Tensor& starts) {
  const torch::Tensor steps = torch::arange(starts.size(1), starts.options().dtype(torch::kInt64));
  const torch::Tensor marked = torch::where(starts != 0, steps, torch::full_like(steps, -1));
  return std::get<0>(marked.cummax(1));
}

class CnnTorch : public TorchMixer {
 public:
  CnnTorch(const Options& options, int64_t channels, TorchParameters parameters)
      : channels_(channels),
        width_(options.integer("width")),
        dilation_(options.integer("dilation")),
        parameters_(std::move(parameters)) {}

  bool packs() const override { return true; }

 private:
  Output run(const Call& call) const override {
    const int64_t batch = call.u.size(0), time = call.u.size(1);
    const int64_t history = (width_ - 1) * dilation_;
    const torch::Tensor before =
        state_or_zeros(call.state, call.u, history * channels_).view({batch, history, channels_});
    const torch::Tensor past = torch::cat({before, call.u}, 1), W = parameters_("weight");
    torch::Tensor begin;
    if (call.starts.defined() && time > 0) begin = beginnings(call.starts);
    torch::Tensor y = torch::linear(call.u, W[0], parameters_("bias"));
    for (int64_t k = 1; k < width_; ++k) {
      const int64_t lag = k * dilation_;
      torch::Tensor moved = past.slice(1, history - lag, history - lag + time);
      if (begin.defined()) moved = moved * inside(begin, time, -lag);
      y = y + torch::linear(moved, W[k]);
    }
    if (!call.final_state) return {y, torch::Tensor()};
    torch::Tensor after = past.slice(1, time);
    if (begin.defined()) {
      const torch::Tensor last = begin.slice(1, time - 1).expand({batch, history});
      after = after * inside(last, history, time - history);
    }
    return {y, after.reshape({batch, history * channels_})};
  }

  /// (batch, count, 1): whether step `first` + t is in the sequence that began at `begin`.
  static torch::Tensor inside(const torch::Tensor& begin, int64_t count, int64_t first) {
    const torch::Tensor steps = torch::arange(first, first + count, begin.options());
    return ((begin < 0) | (steps >= begin)).unsqueeze(2);
  }

  int64_t channels_, width_, dilation_;
  TorchParameters parameters_;
};

}  // namespace

std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters) {
  return std::make_unique<CnnTorch>(options, channels, std::move(parameters));
}

}  // namespace longwave::mixers::cnn
