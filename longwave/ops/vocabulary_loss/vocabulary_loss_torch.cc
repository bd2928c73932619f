// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/vocabulary_loss/vocabulary_loss_torch.h"

#include <algorithm>

#include "longwave/ops/autocast_torch.h"
#include "longwave/ops/operand_torch.h"
#include "longwave/ops/product_torch.h"
#include "longwave/ops/vocabulary_loss/vocabulary_loss_device_torch.h"

namespace longwave::ops {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Scores become their gradients, times scale.
void softmax_loss(const SoftmaxLossTensors& in) {
  const Tensor at = in.label.clamp_min(0).unsqueeze(1);
  const Tensor logs = widened(in.scores).log_softmax(1);
  const Tensor asked = in.label.ge(0).to(logs.scalar_type()).unsqueeze(1);
  in.loss.copy_((logs.gather(1, at) * -asked).squeeze(1));
  Tensor slopes = logs.exp_();
  slopes.scatter_add_(1, at, -torch::ones_like(asked));
  in.scores.copy_(slopes.mul_(asked * in.scale));
}

class VocabularyLossFunction : public torch::autograd::Function<VocabularyLossFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& W,
                        const Tensor& label, int64_t at_once) {
    const Tensor map = W.to(x.scalar_type()).contiguous();
    const Tensor scale = torch::reciprocal(label.ge(0).sum().to(wide_type(x)));
    const Tensor losses = torch::empty({x.size(0)}, x.options().dtype(wide_type(x)));
    Tensor dx = torch::empty_like(x), dW = torch::zeros_like(W);
    const int64_t rows = std::max<int64_t>(1, at_once / std::max<int64_t>(1, W.size(0)));
    for (int64_t begin = 0; begin < x.size(0); begin += rows) {
      const auto piece = [&](const Tensor& of) {
        return of.slice(0, begin, std::min(begin + rows, x.size(0)));
      };
      const SoftmaxLossTensors softmax{torch::mm(piece(x), map.t()), piece(label), scale,
                                       piece(losses)};
      if (softmax_loss_runs_on_device(softmax.scores)) {
        softmax_loss_on_device(softmax);
      } else {
        softmax_loss(softmax);
      }
      Tensor of_piece = piece(dx);
      torch::mm_out(of_piece, softmax.scores, map);
      add_product(dW, softmax.scores.t(), piece(x));
    }
    context->saved_data["dx"] = dx;
    context->saved_data["dW"] = dW;
    return losses.sum() * scale;
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    TORCH_CHECK(!torch::GradMode::is_enabled(),
                "vocabulary_loss: second derivatives are not offered");
    return {context->saved_data["dx"].toTensor() * grads[0],
            context->saved_data["dW"].toTensor() * grads[0], Tensor(), Tensor()};
  }
};

}  // namespace

Tensor vocabulary_loss(const Tensor& x, const Tensor& W, const Tensor& label, int64_t at_once) {
  TORCH_CHECK(x.dim() == 2 && W.dim() == 2 && x.size(1) == W.size(1) && label.dim() == 1 &&
                  label.size(0) == x.size(0),
              "vocabulary_loss: x must be (rows, channels), W (classes, channels), label (rows)");
  const WithoutAutocast as_given;
  return VocabularyLossFunction::apply(x, W, label, at_once);
}

}  // namespace longwave::ops
