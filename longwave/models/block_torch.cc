// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/block_torch.h"

#include <utility>

#include "longwave/base/philox.h"
#include "longwave/nn/mixing_torch.h"
#include "longwave/nn/mlp_torch.h"
#include "longwave/nn/moe_torch.h"

namespace longwave::models {

TorchBlock::TorchBlock(const BlockConfig& config, const Options& options, const std::string& name,
                       nn::ParameterLookup parameters)
    : config_(config),
      name_(name),
      parameters_(std::move(parameters)),
      dropout_(options.real("model.dropout")),
      dropout_tied_(options.flag("model.dropout_tied")),
      mixer_(mixers::make_torch_mixer(config.family, options.section(config.family),
                                      config.channels, nn::scoped(parameters_, "mixer"))) {}

torch::Tensor TorchBlock::mask(const torch::Tensor& x, const Context& context,
                               const char* branch) const {
  if (context.training == nn::Phase::kEvaluation || dropout_ == 0) return {};
  return nn::dropout_mask(
      {.rate = dropout_, .seed = context.dropout_seed, .stream = stream_id(name_ + "." + branch)},
      {x.size(0), dropout_tied_ ? 1 : x.size(1), config_.channels}, x);
}

torch::Tensor TorchBlock::norm(const char* name, const torch::Tensor& x, const Context& context,
                               nn::Precision precision) const {
  return nn::norm(config_.norm, x, context.valid, context.training, nn::scoped(parameters_, name),
                  precision);
}

torch::Tensor TorchBlock::signal(const char* name, nn::Residual& x, const Context& context) const {
  const bool before = config_.place == BlockConfig::NormPlace::kBefore;
  if (before && nn::joins(config_.norm, x, context.precision)) {
    const nn::NormedSum joined = nn::normed_sum(config_.norm, x, nn::scoped(parameters_, name));
    x = {joined.x};
    return joined.y;
  }
  x = {x.sum()};
  return before ? norm(name, x.x, context, context.precision) : nn::rounded(context.precision, x.x);
}

mixers::TorchMixer::Output TorchBlock::mix(nn::Residual& x, const torch::Tensor& state,
                                           const Context& context) const {
  mixers::TorchMixer::Call call{
      .state = state, .final_state = context.final_state, .starts = context.starts};
  const mixers::TorchMixer::Projection first = mixer_->input_projection();
  // Nothing may stand between the norm and the projection: no mask, no rounding.
  if (config_.place == BlockConfig::NormPlace::kBefore && first.W.defined() &&
      !context.valid.defined() && context.precision == nn::Precision::kOwn) {
    x = {x.sum()};
    call.projected = nn::norm_linear(
        {.kind = config_.norm, .phase = context.training, .x = x.x, .W = first.W, .b = first.b},
        nn::scoped(parameters_, "norm"));
    return mixer_->forward(call);
  }
  call.u = signal("norm", x, context);
  // Mixers that look ahead must not see padding.
  if (context.valid.defined()) call.u = call.u * context.valid.unsqueeze(2);
  return mixer_->forward(call);
}

nn::Residual TorchBlock::with_branch(const torch::Tensor& x, const torch::Tensor& v,
                                     const Context& context) const {
  const torch::Tensor dropped = mask(x, context, "mixing");
  const bool plain = config_.mixing == nn::MixingKind::kNone &&
                     config_.activation == ops::Activation::kIdentity && !dropped.defined();
  if (plain && nn::joins(config_.norm, {x, v}, context.precision)) return {x, v};
  return {nn::mixing(
      {.kind = config_.mixing, .activation = config_.activation, .x = x, .v = v, .mask = dropped},
      nn::scoped(parameters_, "mixing"))};
}

TorchBlock::Output TorchBlock::forward(const nn::Residual& in, const torch::Tensor& state,
                                       const Context& context) const {
  const bool before = config_.place == BlockConfig::NormPlace::kBefore;
  nn::Residual stream = in;
  const mixers::TorchMixer::Output mixed = mix(stream, state, context);
  const torch::Tensor x = stream.x;
  stream = with_branch(x, mixed.y, context);
  if (!before) stream = {norm("norm", stream.sum(), context)};
  torch::Tensor balance;
  if (config_.after == AfterMixer::kMoe) {
    const torch::Tensor y = stream.sum();
    const torch::Tensor h = before ? norm("mlp_norm", y, context) : y;
    const nn::MoeOutput shared =
        nn::moe({.config = config_.moe, .x = y, .h = h, .mask = mask(x, context, "moe")},
                nn::scoped(parameters_, "moe"));
    balance = shared.balance;
    stream = {before ? shared.y : norm("mlp_norm", shared.y, context)};
  }
  if (config_.after == AfterMixer::kMlp) {
    const torch::Tensor h = signal("mlp_norm", stream, context);
    const torch::Tensor y =
        nn::mlp({.kind = config_.mlp, .x = stream.x, .h = h, .mask = mask(x, context, "mlp")},
                nn::scoped(parameters_, "mlp"));
    stream = {before ? y : norm("mlp_norm", y, context)};
  }
  return {stream, mixed.state, balance};
}

}  // namespace longwave::models
