// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

namespace longwave::ops {

/// Scores that are in memory at once, if nothing else is asked for.
inline constexpr int64_t kVocabularyLossScores = int64_t{1} << 27;

/// The loss of a head over many classes, averaged over the rows that are asked:
///
///   loss = mean of -log softmax(x W^T)[label]
///
/// The forward pass finds the gradients too, some rows at a time, so that scores and their
/// gradients, by far the largest tensors of a language model's step, are never all in memory.
/// Differentiable in x and W.
///
/// Shapes     x (rows, channels); W (classes, channels); label (rows) int64, -1 not asked.
/// Numerics   products in the type of x, to which W and what passes back through the scores are
///            rounded; softmax and loss in float32, or float64 for that. Gradients of W are added
///            up in its own type. NaN if no row is asked. The order of sums depends on shapes only.
/// Cost       three products, and the same without a gradient; room for `at_once`
///            scores, or one row of them.
/// Errors     c10::Error if shapes disagree; second derivatives are not offered.
torch::Tensor vocabulary_loss(const torch::Tensor& x, const torch::Tensor& W,
                              const torch::Tensor& label, int64_t at_once = kVocabularyLossScores);

}  // namespace longwave::ops
