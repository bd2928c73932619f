// SPDX-License-Identifier: Apache-2.0
#include "longwave/nn/moe_torch.h"

#include <vector>

#include "longwave/ops/moe/moe_torch.h"

namespace longwave::nn {
namespace {

torch::Tensor expert(MlpKind kind, const torch::Tensor& h, const torch::Tensor& up,
                     const torch::Tensor& down) {
  const torch::Tensor inner = torch::mm(h, up.t());
  if (kind == MlpKind::kGelu) return torch::mm(torch::gelu(inner, "tanh"), down.t());
  const int64_t hidden = down.size(1);
  return torch::mm(inner.slice(1, 0, hidden) * torch::silu(inner.slice(1, hidden)), down.t());
}

}  // namespace

MoeOutput moe(const MoeCall& call, const ParameterLookup& parameters) {
  const MoeConfig& config = call.config;
  const torch::Tensor h = call.h.reshape({-1, config.channels});
  const ops::Routing routing = ops::route({.kind = config.weights(), .k = config.chosen},
                                          torch::mm(h, parameters("router.weight").t()));
  const torch::Tensor gathered = ops::gather(routing, h);
  const std::vector<torch::Tensor> up = parameters("up.weight").unbind(0);
  const std::vector<torch::Tensor> down = parameters("down.weight").unbind(0);
  std::vector<torch::Tensor> parts;
  for (int64_t e = 0; e < config.experts; ++e) {
    const int64_t begin = routing.first[e].item<int64_t>();
    const int64_t end = routing.first[e + 1].item<int64_t>();
    parts.push_back(expert(config.kind, gathered.slice(0, begin, end), up[e], down[e]));
  }
  torch::Tensor sum = ops::combine(routing, torch::cat(parts, 0)).view(call.x.sizes());
  if (call.mask.defined()) sum = sum * call.mask;
  return {call.x + sum, config.balance * routing.balance};
}

}  // namespace longwave::nn
