// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/sequence_model_torch.h"

#include <algorithm>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/mixers/mixer_torch.h"
#include "longwave/models/block_torch.h"
#include "longwave/nn/linear_torch.h"
#include "longwave/nn/norm_torch.h"
#include "longwave/nn/pooling.h"
#include "longwave/ops/autocast_torch.h"
#include "longwave/ops/quant/quant.h"
#include "longwave/ops/vocabulary_loss/vocabulary_loss_torch.h"

namespace longwave::models {
namespace {

std::string registered_name(std::string name) {
  std::ranges::replace(name, '.', '/');
  return name;
}

/// A parameter as float32, whatever type it is stored in.
torch::Tensor tensor_of(const Weights& weights, const Parameter& parameter) {
  const Tensor values = ops::dequantize(weights.of(parameter));
  const torch::Tensor tensor = torch::empty(parameter.shape, torch::kFloat32);
  std::ranges::copy(values.elements<float>(), tensor.data_ptr<float>());
  return tensor;
}

/// (batch, time) uint8: 1 where a step is within the length of its sequence.
torch::Tensor valid_steps(const torch::Tensor& lengths, int64_t time) {
  const torch::Tensor steps = torch::arange(time, lengths.options());
  return (steps.unsqueeze(0) < lengths.unsqueeze(1)).to(torch::kUInt8);
}

}  // namespace

struct TorchSequenceModel::Parts {
  Config config;
  ParameterTable table;
  std::map<std::string, torch::Tensor> tensors;
  nn::ParameterLookup lookup;
  std::vector<BlockConfig> layers;
  const BlockConfig& block;  // of the first layer, for what all share
  std::vector<TorchBlock> blocks;
  std::vector<int64_t> state_begin;  // of each layer, and of the pooling
  int64_t pooling_state = 0;
  nn::PoolingKind pooling = nn::PoolingKind::kMean;
  nn::Precision precision = nn::Precision::kOwn;

  explicit Parts(Config c)
      : config(std::move(c)),
        table(models::parameters(config)),
        lookup([this](const std::string& name) { return tensors.at(name); }),
        layers(BlockConfig::layers_of(config.options)),
        block(layers.front()) {
    check_trainable(config);
  }

  bool vocabulary() const {
    return config.interface.input == Interface::Input::kTokens && !sequence_output();
  }
  bool has_bias() const {
    return !config.options.flag("model.tie") && config.options.flag("model.head_bias");
  }
  torch::Tensor head() const {
    return lookup(config.options.flag("model.tie") ? "encoder.weight" : "decoder.weight");
  }
  bool sequence_output() const { return config.interface.output == Interface::Output::kSequence; }

  void check(const Call& call) const;
  /// The model's own precision, or that of autocast where it is on.
  nn::Precision asked_precision() const;
  torch::Tensor encode(const Call& call) const;
  /// What the head or the pooling reads, in the precision that the head takes.
  torch::Tensor last_norm(const nn::Residual& stream, const TorchBlock::Context& context) const;
  torch::Tensor decode(const torch::Tensor& x, nn::Precision asked) const;
  Output pool(const torch::Tensor& x, const Call& call) const;
};

namespace {

/// The number of floats in each layer's state, as the runtime lays them out.
std::vector<int64_t> layer_state_sizes(const Config& config, const Weights& weights) {
  const SequenceModel model(config, weights);
  std::vector<int64_t> sizes;
  for (int64_t i = 0; i < model.layer_count(); ++i) {
    sizes.push_back(model.layer_mixer(i).state_size());
  }
  return sizes;
}

}  // namespace

TorchSequenceModel::TorchSequenceModel(Config config, const Weights& weights)
    : parts_(std::make_unique<Parts>(std::move(config))) {
  Parts& parts = *parts_;
  for (const Parameter& parameter : parts.table) {
    const torch::Tensor value = tensor_of(weights, parameter);
    const std::string name = registered_name(parameter.name);
    parts.tensors[parameter.name] = parameter.group == ParameterGroup::kBuffer
                                        ? register_buffer(name, value)
                                        : register_parameter(name, value);
  }
  const std::vector<int64_t> sizes = layer_state_sizes(parts.config, weights);
  int64_t begin = 0;
  for (size_t i = 0; i < parts.layers.size(); ++i) {
    const std::string name = "layers." + std::to_string(i);
    parts.blocks.emplace_back(parts.layers[i], parts.config.options, name,
                              nn::scoped(parts.lookup, name));
    parts.state_begin.push_back(begin);
    begin += sizes[i];
  }
  parts.state_begin.push_back(begin);
  if (!parts.sequence_output()) return;
  parts.pooling = nn::pooling_kind(parts.config.options.text("model.pool"));
  parts.pooling_state = nn::Pooling(parts.pooling, parts.block.channels).state_size();
}

TorchSequenceModel::~TorchSequenceModel() = default;

void TorchSequenceModel::set_precision(nn::Precision precision) { parts_->precision = precision; }

bool TorchSequenceModel::takes_labels() const {
  return parts_->vocabulary() && !parts_->has_bias();
}

const Config& TorchSequenceModel::config() const { return parts_->config; }
const ParameterTable& TorchSequenceModel::table() const { return parts_->table; }

torch::Tensor TorchSequenceModel::parameter(const std::string& name) const {
  const auto found = parts_->tensors.find(name);
  require(found != parts_->tensors.end(), "sequence_model", "no parameter has that name");
  return found->second;
}

Weights TorchSequenceModel::weights() const {
  Weights weights;
  for (const Parameter& parameter : parts_->table) {
    const torch::Tensor value =
        parts_->tensors.at(parameter.name).detach().to(torch::kFloat32).cpu().contiguous();
    Tensor tensor(DType::kFloat32, parameter.shape);
    std::copy_n(value.data_ptr<float>(), value.numel(), tensor.elements<float>().begin());
    weights.put(parameter.name, std::move(tensor));
  }
  return weights;
}

void TorchSequenceModel::load(const Weights& weights) {
  const torch::NoGradGuard guard;
  std::vector<torch::Tensor> values;
  for (const Parameter& parameter : parts_->table) {
    values.push_back(tensor_of(weights, parameter));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    parts_->tensors.at(parts_->table[i].name).copy_(values[i]);
  }
}

void TorchSequenceModel::Parts::check(const Call& call) const {
  const bool tokens = config.interface.input == Interface::Input::kTokens;
  require(call.tokens.defined() == tokens && call.input.defined() != tokens, "sequence_model",
          tokens ? "this model takes tokens" : "this model takes real inputs");
  const torch::Tensor& given = tokens ? call.tokens : call.input;
  require(
      given.dim() == (tokens ? 2 : 3) && (tokens || given.size(2) == config.interface.input_size),
      "sequence_model", "input must be (batch, time, input_size), tokens (batch, time)");
  require(
      !call.lengths.defined() || (call.lengths.dim() == 1 && call.lengths.size(0) == given.size(0)),
      "sequence_model", "lengths must be (batch)");
  require(!call.lengths.defined() || !call.final_state, "sequence_model",
          "the final state of padded sequences is not defined: leave lengths out");
  require(!call.starts.defined() ||
              (!sequence_output() && call.starts.dim() == 2 &&
               call.starts.size(0) == given.size(0) && call.starts.size(1) == given.size(1)),
          "sequence_model", "starts must be (batch, time), of a model with one answer a step");
  require(!call.state.defined() || (call.state.dim() == 2 && call.state.size(0) == given.size(0) &&
                                    call.state.size(1) == state_begin.back() + pooling_state),
          "sequence_model", "state must be (batch, state_size)");
  require(
      !call.label.defined() || (vocabulary() && !has_bias() && call.label.sizes() == given.sizes()),
      "sequence_model", "labels must be (batch, time), for a vocabulary without a bias");
}

nn::Precision TorchSequenceModel::Parts::asked_precision() const {
  const auto asked = ops::autocast_type(head().device());
  if (!asked) return precision;
  if (*asked == torch::kBFloat16) return nn::Precision::kBfloat16;
  throw InvalidArgument({.where = "sequence_model",
                         .what = "autocast asks for a type that models do not train in",
                         .got = torch::toString(*asked),
                         .fix = "set autocast's type to torch::kBFloat16"});
}

torch::Tensor TorchSequenceModel::Parts::encode(const Call& call) const {
  const nn::ParameterLookup encoder = nn::scoped(lookup, "encoder");
  if (call.tokens.defined()) return torch::embedding(encoder("weight"), call.tokens);
  const torch::Tensor weight = encoder("weight");
  const torch::Tensor input = call.input.to(weight.scalar_type());
  return nn::linear((input - encoder("shift")) / encoder("scale"), encoder);
}

torch::Tensor TorchSequenceModel::Parts::last_norm(const nn::Residual& stream,
                                                   const TorchBlock::Context& context) const {
  if (block.place != BlockConfig::NormPlace::kBefore) return stream.sum();
  const nn::ParameterLookup norm = nn::scoped(lookup, "norm");
  // Only the head of a vocabulary is large; other answers are better exact.
  const nn::Precision wanted = vocabulary() ? context.precision : nn::Precision::kOwn;
  if (nn::joins(block.norm, stream, wanted)) return nn::normed_sum(block.norm, stream, norm).y;
  return nn::norm(block.norm, stream.sum(), context.valid, context.training, norm, wanted);
}

torch::Tensor TorchSequenceModel::Parts::decode(const torch::Tensor& x, nn::Precision asked) const {
  const torch::Tensor h = vocabulary() ? nn::rounded(asked, x) : x;
  if (has_bias()) return nn::linear(h, nn::scoped(lookup, "decoder"));
  return torch::matmul(h, head().to(h.scalar_type()).t());
}

/// Pools as the recurrence of nn::Pooling does, whose compensations the state carries.
TorchSequenceModel::Output TorchSequenceModel::Parts::pool(const torch::Tensor& x,
                                                           const Call& call) const {
  const int64_t batch = x.size(0), time = x.size(1), channels = block.channels;
  torch::Tensor before;
  if (call.state.defined()) {
    before = call.state.slice(1, state_begin.back()).to(x.scalar_type());
  }
  if (pooling == nn::PoolingKind::kLast) {
    const torch::Tensor earlier = before.defined() ? before : x.new_zeros({batch, channels});
    if (time == 0) return {earlier, earlier};
    if (!call.lengths.defined()) {
      const torch::Tensor last = x.select(1, time - 1);
      return {last, last};
    }
    const torch::Tensor at = (call.lengths - 1).clamp_min(0).view({batch, 1, 1});
    const torch::Tensor last = x.gather(1, at.expand({batch, 1, channels})).squeeze(1);
    return {torch::where((call.lengths > 0).unsqueeze(1), last, earlier), torch::Tensor()};
  }
  torch::Tensor sum = x.sum(1);
  torch::Tensor count = call.lengths.defined()
                            ? call.lengths.to(x.scalar_type()).unsqueeze(1)
                            : torch::full({batch, 1}, static_cast<double>(time), x.options());
  if (before.defined()) {
    const torch::Tensor total = before.slice(1, 0, channels + 1) + before.slice(1, channels + 1);
    sum = sum + total.slice(1, 0, channels);
    count = count + total.slice(1, channels);
  }
  torch::Tensor after;
  if (call.final_state) after = torch::cat({sum, count, x.new_zeros({batch, channels + 1})}, 1);
  return {sum / count.clamp_min(1), after};
}

TorchSequenceModel::Output TorchSequenceModel::forward(const Call& call) {
  const Parts& parts = *parts_;
  parts.check(call);
  const nn::Precision precision = parts.asked_precision();
  const ops::WithoutAutocast as_given;
  nn::Residual stream{parts.encode(call)};
  TorchBlock::Context context{
      .training = is_training() ? nn::Phase::kTraining : nn::Phase::kEvaluation,
      .valid = {},
      .dropout_seed = call.dropout_seed,
      .final_state = call.final_state,
      .starts = call.starts,
      .precision = precision};
  if (call.lengths.defined()) context.valid = valid_steps(call.lengths, stream.x.size(1));
  std::vector<torch::Tensor> states;
  torch::Tensor balance;
  for (size_t i = 0; i < parts.blocks.size(); ++i) {
    torch::Tensor before;
    if (call.state.defined()) {
      before = call.state.slice(1, parts.state_begin[i], parts.state_begin[i + 1]);
    }
    const TorchBlock::Output output = parts.blocks[i].forward(stream, before, context);
    stream = output.x;
    if (output.balance.defined()) {
      balance = balance.defined() ? balance + output.balance : output.balance;
    }
    if (call.final_state) states.push_back(output.state);
  }
  torch::Tensor x = parts.last_norm(stream, context);
  if (parts.sequence_output()) {
    // Padding does not enter the mean.
    if (context.valid.defined() && parts.pooling == nn::PoolingKind::kMean) {
      x = x * context.valid.unsqueeze(2);
    }
    const Output pooled = parts.pool(x, call);
    x = pooled.output;
    states.push_back(pooled.state);
  }
  const torch::Tensor state = call.final_state ? torch::cat(states, 1) : torch::Tensor();
  if (call.label.defined()) {
    const torch::Tensor rows = nn::rounded(precision, x).reshape({-1, x.size(-1)});
    return {.output = {},
            .state = state,
            .balance = balance,
            .loss = ops::vocabulary_loss(rows, parts.head(), call.label.reshape({-1}))};
  }
  return {.output = parts.decode(x, precision), .state = state, .balance = balance};
}

}  // namespace longwave::models
