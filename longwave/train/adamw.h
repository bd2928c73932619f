// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/base/parameter.h"
#include "longwave/models/sequence_model_torch.h"
#include "longwave/train/fused_adamw.h"

namespace longwave::train {

/// One trained tensor with the moments that AdamW keeps of its gradient.
struct Slot {
  std::string name;  ///< the parameter's name in the table
  torch::Tensor parameter;
  torch::Tensor mean;     ///< moving mean of the gradient
  torch::Tensor squares;  ///< moving mean of its square
};

/// Parameters that share a learning rate and a decay.
struct Group {
  std::string name;  ///< "main", "ssm" or "no decay"
  double lr = 0;
  double decay = 0;
  std::vector<Slot> slots;
};

/// The groups of a model: main (lr, decay), ssm (ssm_lr, none), no decay (lr, none). Buffers are in
/// none of them, and need no gradient.
std::vector<Group> groups_of(const models::TorchSequenceModel& model, const Options& train);

/// AdamW whose whole state is visible, so that a resumed run continues with the same bits.
///
///   m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
///   p <- p - lr decay p - lr (m / (1 - b1^k)) / (sqrt(v / (1 - b2^k)) + epsilon)
///
/// On a GPU a group takes a few launches, however many tensors it has.
///
/// Source     Loshchilov & Hutter 2019, "Decoupled weight decay regularization", algorithm 2.
/// Threads    one owner at a time.
class AdamW {
 public:
  AdamW(std::vector<Group> groups, const Options& train);

  /// One update with each group's rate times `factor`; a parameter without gradient is left alone.
  /// A guard needs `takes_guard()`; an update that it skips counts all the same.
  void step(double factor, const UpdateGuard& guard = {});

  /// Whether a GPU can decide about updates of what has a gradient now.
  bool takes_guard() const;

  /// Forgets all gradients.
  void zero_grad();

  const std::vector<Group>& groups() const { return groups_; }
  std::vector<Group>& groups() { return groups_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  AdamWUpdate update_of(const Group& group, double factor) const;

  std::vector<Group> groups_;
  double beta1_;
  double beta2_;
  double epsilon_;
  int64_t steps_ = 0;
};

/// The Euclidean norms of the gradients, one by one, where they are.
std::vector<torch::Tensor> gradient_norms(const std::vector<Group>& groups);

/// Multiplies all gradients by `factor`.
void scale_gradients(std::vector<Group>& groups, double factor);

}  // namespace longwave::train
