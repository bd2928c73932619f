// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/vocabulary_loss/vocabulary_loss_device_torch.h"

#include "longwave/ops/cuda/device_torch.h"
#include "longwave/ops/vocabulary_loss/softmax_loss_cuda.h"

namespace longwave::ops {

using gpu::device_view_of;

bool softmax_loss_runs_on_device(const torch::Tensor& scores) {
  return gpu::SignalTypes::hold(scores);
}

void softmax_loss_on_device(const SoftmaxLossTensors& in) {
  gpu::SignalTypes::call(in.scores, [&]<typename T>(std::type_identity<T>) {
    softmax_loss_cuda(
        SoftmaxLossCudaArgs<T>{.label = device_view_of<const int64_t, 1>(in.label),
                               .scale = device_view_of<const float, 1>(in.scale.view({1})),
                               .scores = device_view_of<T, 2>(in.scores),
                               .loss = device_view_of<float, 1>(in.loss)},
        gpu::current_stream());
  });
}

}  // namespace longwave::ops
