// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/adamw.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace longwave::train {

namespace {

std::vector<torch::Tensor> gradients_of(const std::vector<Group>& groups) {
  std::vector<torch::Tensor> gradients;
  for (const Group& group : groups) {
    for (const Slot& slot : group.slots) {
      const torch::Tensor gradient = slot.parameter.grad();
      if (gradient.defined()) gradients.push_back(gradient);
    }
  }
  return gradients;
}

// One operation for all tensors at a time.
void adamw_of_operations(const AdamWUpdate& in) {
  const auto count = static_cast<double>(in.count);
  torch::_foreach_mul_(in.means, in.beta1);
  torch::_foreach_add_(in.means, in.gradients, 1.0 - in.beta1);
  torch::_foreach_mul_(in.squares, in.beta2);
  torch::_foreach_addcmul_(in.squares, in.gradients, in.gradients, 1.0 - in.beta2);
  const std::vector<torch::Tensor> denominators = torch::_foreach_sqrt(in.squares);
  torch::_foreach_div_(denominators, std::sqrt(1.0 - std::pow(in.beta2, count)));
  torch::_foreach_add_(denominators, in.epsilon);
  if (in.decay != 0.0) torch::_foreach_mul_(in.parameters, 1.0 - in.lr * in.decay);
  torch::_foreach_addcdiv_(in.parameters, in.means, denominators,
                           -in.lr / (1.0 - std::pow(in.beta1, count)));
}

}  // namespace

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

AdamWUpdate AdamW::update_of(const Group& group, double factor) const {
  AdamWUpdate update{.parameters = {},
                     .gradients = {},
                     .means = {},
                     .squares = {},
                     .lr = group.lr * factor,
                     .decay = group.decay,
                     .beta1 = beta1_,
                     .beta2 = beta2_,
                     .epsilon = epsilon_,
                     .count = steps_};
  for (const Slot& slot : group.slots) {
    const torch::Tensor gradient = slot.parameter.grad();
    if (!gradient.defined()) continue;
    update.parameters.push_back(slot.parameter);
    update.gradients.push_back(gradient);
    update.means.push_back(slot.mean);
    update.squares.push_back(slot.squares);
  }
  return update;
}

bool AdamW::takes_guard() const {
  return std::ranges::all_of(
      groups_, [&](const Group& group) { return has_fused_adamw(update_of(group, 1.0)); });
}

void AdamW::step(double factor, const UpdateGuard& guard) {
  const torch::NoGradGuard no_grad;
  ++steps_;
  for (const Group& group : groups_) {
    AdamWUpdate update = update_of(group, factor);
    update.guard = guard;
    if (update.parameters.empty()) continue;
    if (has_fused_adamw(update)) {
      fused_adamw(update);
    } else {
      adamw_of_operations(update);
    }
  }
}

void AdamW::zero_grad() {
  for (Group& group : groups_) {
    for (Slot& slot : group.slots) slot.parameter.mutable_grad().reset();
  }
}

std::vector<torch::Tensor> gradient_norms(const std::vector<Group>& groups) {
  const std::vector<torch::Tensor> gradients = gradients_of(groups);
  if (gradients.empty()) return {};
  return torch::_foreach_norm(gradients, 2);
}

void scale_gradients(std::vector<Group>& groups, double factor) {
  const torch::NoGradGuard no_grad;
  const std::vector<torch::Tensor> gradients = gradients_of(groups);
  if (!gradients.empty()) torch::_foreach_mul_(gradients, factor);
}

}  // namespace longwave::train
