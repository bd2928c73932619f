// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/training_form_torch.h"

#include <torch/torch.h>

#include <string>

#include "longwave/mixers/mixer_torch.h"
#include "longwave/models/sequence_model_torch.h"

namespace longwave::inspect {
namespace {

template <typename T>
torch::Tensor copy_of(std::span<const T> values, torch::IntArrayRef shape) {
  torch::Tensor tensor = torch::empty(shape, torch::TensorOptions().dtype<T>());
  std::copy(values.begin(), values.end(), tensor.data_ptr<T>());
  return tensor;
}

std::vector<float> values_of(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.to(torch::kFloat32).contiguous();
  const float* data = dense.data_ptr<float>();
  return {data, data + dense.numel()};
}

class TorchForm : public TrainingForm {
 public:
  TorchForm(const models::Config& config, const Weights& weights) : model_(config, weights) {
    model_.eval();
  }

  std::vector<float> layer(int64_t layer, std::span<const float> u, int64_t time) override {
    const torch::NoGradGuard no_gradients;
    const Options& options = model_.config().options;
    const std::string family =
        models::layers_of(options.text("model.pattern"))[static_cast<size_t>(layer)];
    const std::string scope = "layers." + std::to_string(layer) + ".mixer.";
    const int64_t channels = options.integer("model.d_model");
    const auto mixer = mixers::make_torch_mixer(
        family, options.section(family), channels,
        [&](const std::string& name) { return model_.parameter(scope + name); });
    return values_of(
        mixer->forward({.u = copy_of(u, {1, time, channels}), .state = {}, .final_state = false})
            .y);
  }

  std::vector<float> model(std::span<const float> input, std::span<const int64_t> tokens,
                           int64_t time) override {
    const torch::NoGradGuard no_gradients;
    models::TorchSequenceModel::Call call;
    if (tokens.empty()) {
      call.input = copy_of(input, {1, time, model_.config().interface.input_size});
    } else {
      call.tokens = copy_of(tokens, {1, time});
    }
    const torch::Tensor standard = model_.forward(call).output;
    return values_of(standard * model_.parameter("decoder.scale") +
                     model_.parameter("decoder.shift"));
  }

 private:
  models::TorchSequenceModel model_;
};

}  // namespace

std::unique_ptr<TrainingForm> make_training_form(const models::Config& config,
                                                 const Weights& weights) {
  return std::make_unique<TorchForm>(config, weights);
}

}  // namespace longwave::inspect
