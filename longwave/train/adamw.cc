// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/adamw.h"

#include <cmath>
#include <utility>

namespace longwave::train {

std::vector<Group> groups_of(const models::TorchSequenceModel& model, const Options& train) {
  const double lr = train.real("lr");
  std::vector<Group> groups{
      {.name = "main", .lr = lr, .decay = train.real("weight_decay"), .slots = {}},
      {.name = "ssm", .lr = train.real("ssm_lr"), .decay = 0, .slots = {}},
      {.name = "no decay", .lr = lr, .decay = 0, .slots = {}}};
  for (const Parameter& parameter : model.table()) {
    if (parameter.group == ParameterGroup::kBuffer) continue;
    const torch::Tensor tensor = model.parameter(parameter.name);
    groups[static_cast<size_t>(parameter.group)].slots.push_back(
        {.name = parameter.name,
         .parameter = tensor,
         .mean = torch::zeros_like(tensor, torch::MemoryFormat::Contiguous).detach(),
         .squares = torch::zeros_like(tensor, torch::MemoryFormat::Contiguous).detach()});
  }
  return groups;
}

AdamW::AdamW(std::vector<Group> groups, const Options& train)
    : groups_(std::move(groups)),
      beta1_(train.real("beta1")),
      beta2_(train.real("beta2")),
      epsilon_(train.real("epsilon")) {}

void AdamW::update(Slot& slot, double lr, double decay) {
  const torch::Tensor gradient = slot.parameter.grad();
  if (!gradient.defined()) return;
  const auto count = static_cast<double>(steps_);
  slot.mean.mul_(beta1_).add_(gradient, 1.0 - beta1_);
  slot.squares.mul_(beta2_).addcmul_(gradient, gradient, 1.0 - beta2_);
  const torch::Tensor denominator =
      slot.squares.sqrt().div_(std::sqrt(1.0 - std::pow(beta2_, count))).add_(epsilon_);
  if (decay != 0.0) slot.parameter.mul_(1.0 - lr * decay);
  slot.parameter.addcdiv_(slot.mean, denominator, -lr / (1.0 - std::pow(beta1_, count)));
}

void AdamW::step(double factor) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  for (Group& group : groups_) {
    for (Slot& slot : group.slots) update(slot, group.lr * factor, group.decay);
  }
}

void AdamW::zero_grad() {
  for (Group& group : groups_) {
    for (Slot& slot : group.slots) slot.parameter.mutable_grad().reset();
  }
}

double gradient_norm(const std::vector<Group>& groups) {
  std::vector<torch::Tensor> norms;
  for (const Group& group : groups) {
    for (const Slot& slot : group.slots) {
      const torch::Tensor gradient = slot.parameter.grad();
      if (gradient.defined()) norms.push_back(gradient.norm());
    }
  }
  if (norms.empty()) return 0;
  // All at once, so that a GPU is waited for once.
  const torch::Tensor all = torch::stack(norms).to(torch::kFloat64).cpu();
  double sum = 0;
  for (int64_t i = 0; i < all.size(0); ++i) {
    const double norm = all.data_ptr<double>()[i];
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

void scale_gradients(std::vector<Group>& groups, double factor) {
  const torch::NoGradGuard no_grad;
  for (Group& group : groups) {
    for (Slot& slot : group.slots) {
      torch::Tensor gradient = slot.parameter.grad();
      if (gradient.defined()) gradient.mul_(factor);
    }
  }
}

}  // namespace longwave::train
