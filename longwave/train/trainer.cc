// SPDX-License-Identifier: Apache-2.0
#include "longwave/train/trainer.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/nn/dropout_torch.h"
#include "longwave/ops/cuda/device_torch.h"
#include "longwave/ops/cuda/to_host_torch.h"
#include "longwave/train/diagnosis.h"

namespace longwave::train {

using models::Interface;

namespace {

/// Weight of a new loss in the moving mean.
constexpr double kEmaGain = 0.02;

const data::TaskInfo& checked(const data::Dataset& dataset) {
  if (dataset.size() == 0) {
    throw DataError({.where = "training split",
                     .what = "the data set is empty",
                     .got = "0 sequences",
                     .fix = "check the options of data.source"});
  }
  return dataset.info();
}

std::shared_ptr<const data::Dataset> open_training_data(const Options& recipe, uint64_t seed) {
  const data::Source& source = data::source(recipe.text("data.source"));
  return source.open(recipe.section(source.name), data::Split::kTrain, seed);
}

std::vector<torch::Tensor> parameters_of(const std::vector<Group>& groups) {
  std::vector<torch::Tensor> parameters;
  for (const Group& group : groups) {
    for (const Slot& slot : group.slots) parameters.push_back(slot.parameter);
  }
  return parameters;
}

int64_t steps_of_run(const Options& train, int64_t steps_per_epoch) {
  if (train.integer("steps") > 0) return train.integer("steps");
  const double steps = train.real("epochs") * static_cast<double>(steps_per_epoch);
  return std::max<int64_t>(1, std::llround(steps));
}

/// What the model takes and gives: as the data, or with room for more tokens.
Interface interface_of(const data::TaskInfo& info, int64_t vocabulary) {
  Interface interface = interface_for(info);
  if (vocabulary == 0 || interface.input != Interface::Input::kTokens) return interface;
  if (vocabulary < interface.input_size) {
    throw ConfigError({.where = "model.vocabulary",
                       .what = "the data have more tokens than the model",
                       .got = fmt::format("{} and {}", interface.input_size, vocabulary),
                       .fix = "train on data with the model's tokenizer, or a larger vocabulary"});
  }
  if (interface.output_size == interface.input_size) interface.output_size = vocabulary;
  interface.input_size = vocabulary;
  return interface;
}

/// One 64-bit number for the random numbers of a forward pass.
uint64_t pass_seed(uint64_t seed, int64_t step, size_t place) {
  const auto words = philox(seed, static_cast<uint64_t>(step), place);
  return (uint64_t{words[0]} << 32) | words[1];
}

/// Replaces a standardisation, unless there is none.
void put_row(Weights& weights, const std::string& name, const std::vector<float>& row) {
  if (row.empty()) return;
  Tensor tensor(DType::kFloat32, {static_cast<int64_t>(row.size())});
  std::ranges::copy(row, tensor.elements<float>().begin());
  weights.put(name, std::move(tensor));
}

/// Buffers with their values of now: a forward pass in training moves running statistics.
std::vector<std::pair<torch::Tensor, torch::Tensor>> kept_buffers(
    const models::TorchSequenceModel& model) {
  std::vector<std::pair<torch::Tensor, torch::Tensor>> kept;
  for (const Parameter& parameter : model.table()) {
    if (parameter.group != ParameterGroup::kBuffer) continue;
    const torch::Tensor buffer = model.parameter(parameter.name);
    kept.emplace_back(buffer, buffer.clone());
  }
  return kept;
}

/// What came of `batches` batches, from their losses and the norms behind those.
Gradients summary(const torch::Tensor& numbers, size_t batches) {
  const double* number = numbers.data_ptr<double>();
  const auto count = static_cast<size_t>(numbers.size(0));
  Gradients result;
  for (size_t i = 0; i < batches; ++i) result.loss += number[i] / static_cast<double>(batches);
  double squares = 0;
  for (size_t i = batches; i < count; ++i) squares += number[i] * number[i];
  result.norm = std::sqrt(squares);
  return result;
}

/// The decision about an update where the same numbers are: to clip, or to leave all as it is.
UpdateGuard guard_of(const torch::Tensor& numbers, size_t batches, double limit) {
  const auto first = static_cast<int64_t>(batches);
  const torch::Tensor norm = numbers.slice(0, first).square().sum().sqrt();
  const torch::Tensor finite = torch::isfinite(norm + numbers.slice(0, 0, first).sum());
  const torch::Tensor divisor = limit > 0 ? (norm / limit).clamp_min(1.0) : torch::ones_like(norm);
  return {divisor.to(torch::kFloat32), finite.logical_not().to(torch::kFloat32)};
}

}  // namespace

torch::Device device_of(const Options& train) {
  const std::string& name = train.text("device");
  if (name == "cpu") return torch::kCPU;
  if (!ops::gpu::kBuiltIn) {
    throw ConfigError({.where = "train.device",
                       .what = "this build trains on the CPU only",
                       .got = "\"" + name + "\"",
                       .fix = "set it to \"cpu\", or build with nvcc and a libtorch with CUDA"});
  }
  if (!torch::cuda::is_available()) {
    throw ConfigError({.where = "train.device",
                       .what = "there is no GPU that libtorch can use",
                       .got = "\"" + name + "\"",
                       .fix = "set it to \"cpu\", or look at what nvidia-smi says"});
  }
  return {torch::kCUDA, 0};
}

nn::Precision precision_of(const Options& train, const torch::Device& device) {
  const std::string& name = train.text("precision");
  if (name != "float32" && device.is_cpu()) {
    throw ConfigError({.where = "train.precision",
                       .what = "the CPU trains in float32 only",
                       .got = "\"" + name + "\"",
                       .fix = "set it to \"float32\", or train.device to \"cuda\""});
  }
  if (device.is_cuda()) at::globalContext().setAllowTF32CuBLAS(name == "tf32");
  return name == "bfloat16" ? nn::Precision::kBfloat16 : nn::Precision::kOwn;
}

Interface interface_for(const data::TaskInfo& info) {
  using Target = data::TaskInfo::Target;
  const bool tokens = info.input == data::TaskInfo::Input::kTokens;
  const bool steps = info.target == Target::kClassPerStep || info.target == Target::kValuePerStep;
  return {.input = tokens ? Interface::Input::kTokens : Interface::Input::kReal,
          .input_size = info.input_size,
          .output = steps ? Interface::Output::kStep : Interface::Output::kSequence,
          .output_size = info.target_size};
}

Weights weights_for(const models::Config& config, const data::TaskInfo& info, uint64_t seed) {
  Weights weights = initialise(models::parameters(config), seed);
  put_row(weights, "encoder.shift", info.input_shift);
  put_row(weights, "encoder.scale", info.input_scale);
  put_row(weights, "decoder.shift", info.target_shift);
  put_row(weights, "decoder.scale", info.target_scale);
  return weights;
}

Trainer::Trainer(const Options& recipe)
    : recipe_(recipe),
      train_(recipe.section("train")),
      seed_(static_cast<uint64_t>(recipe.integer("seed"))),
      device_(device_of(train_)),
      precision_(precision_of(train_, device_)),
      dataset_(open_training_data(recipe, seed_)),
      loss_(checked(*dataset_), device_) {
  const models::Config config = models::make_config(
      interface_of(dataset_->info(), recipe.integer("model.vocabulary")), recipe);
  loader_ = std::make_unique<data::Loader>(
      dataset_,
      data::LoaderOptions{.batch_size = std::min(train_.integer("batch"), dataset_->size()),
                          .seed = seed_,
                          .order = data::LoaderOptions::Order::kShuffled,
                          .last = data::LoaderOptions::Last::kDrop});
  model_ = std::make_shared<models::TorchSequenceModel>(
      config, weights_for(config, dataset_->info(), seed_));
  model_->to(device_);
  model_->set_precision(precision_);
  optimiser_ = std::make_unique<AdamW>(groups_of(*model_, train_), train_);
  if (device_.is_cuda() && train_.text("graphs") == "auto") {
    recorded_ = std::make_unique<RecordedPasses>(parameters_of(optimiser_->groups()), device_);
  }
  steps_per_epoch_ =
      std::max<int64_t>(1, loader_->batches_per_epoch() / train_.integer("accumulate"));
  schedule_ = schedule_of(train_, steps_of_run(train_, steps_per_epoch_));
}

Trainer::~Trainer() = default;

torch::Tensor Trainer::queue_gradients(const std::vector<Batch>& batches, int64_t step) {
  std::vector<Feed> feeds;
  for (size_t place = 0; place < batches.size(); ++place) {
    require_targets(info(), batches[place]);
    feeds.push_back({batches[place], nn::dropout_seed(pass_seed(seed_, step, place))});
  }
  model_->train();
  if (recorded_ != nullptr) {
    return recorded_->run(feeds, [this](const auto& there) { return passes(there); });
  }
  for (Feed& feed : feeds) feed = to_device(feed, device_);
  return passes(feeds);
}

torch::Tensor Trainer::passes(const std::vector<Feed>& feeds) {
  optimiser_->zero_grad();
  std::vector<torch::Tensor> found;
  const auto share = 1.0 / static_cast<double>(feeds.size());
  for (const auto& [batch, dropout_seed] : feeds) {
    const bool fused = precision_ != nn::Precision::kOwn && model_->takes_labels() &&
                       info().target == data::TaskInfo::Target::kClassPerStep;
    auto output = model_->forward({.input = batch.input,
                                   .tokens = batch.tokens,
                                   .lengths = batch.lengths,
                                   .state = {},
                                   .final_state = false,
                                   .dropout_seed = dropout_seed,
                                   .starts = {},
                                   .label = fused ? batch.label : torch::Tensor()});
    const torch::Tensor task = fused ? output.loss : loss_(output.output, batch);
    const torch::Tensor all = output.balance.defined() ? task + output.balance : task;
    // The graph keeps of the outputs what the gradient reads.
    output = {};
    (all * share).backward();
    // What is reported is the task's, so that models with and without experts compare.
    found.push_back(task.detach());
  }
  for (const torch::Tensor& norm : gradient_norms(optimiser_->groups())) found.push_back(norm);
  return torch::stack(found).to(torch::kFloat64);
}

Gradients Trainer::gradients(const std::vector<Batch>& batches, int64_t step) {
  return summary(queue_gradients(batches, step).cpu(), batches.size());
}

Gradients Trainer::update(double factor) {
  const size_t count = batches_.size();
  const double limit = train_.real("clip");
  const torch::Tensor numbers = queue_gradients(batches_, counters_.step);
  if (device_.is_cuda() && optimiser_->takes_guard()) {
    // The host waits for the numbers while the GPU goes on.
    const UpdateGuard guard = guard_of(numbers, count, limit);
    const torch::Tensor found =
        ops::gpu::to_host(numbers, [&] { optimiser_->step(factor, guard); });
    const Gradients result = summary(found, count);
    if (!result.finite()) optimiser_->set_steps(optimiser_->steps() - 1);
    return result;
  }
  const Gradients result = summary(numbers.cpu(), count);
  if (!result.finite()) return result;
  if (limit > 0 && result.norm > limit) scale_gradients(optimiser_->groups(), limit / result.norm);
  optimiser_->step(factor);
  return result;
}

Trainer::Step Trainer::step() {
  batches_.clear();
  Step result;
  for (int64_t i = 0; i < train_.integer("accumulate"); ++i) {
    batches_.push_back(to_torch(info(), loader_->next()));
    result.sequences += batches_.back().sequences();
    result.time_steps += batches_.back().steps();
  }
  const auto buffers = kept_buffers(*model_);
  const double factor = schedule_.factor(counters_.step);
  const Gradients found = update(factor);
  result.loss = found.loss;
  result.gradient_norm = found.norm;
  result.lr = train_.real("lr") * factor;
  if (!found.finite()) {
    const torch::NoGradGuard no_grad;
    for (const auto& [buffer, before] : buffers) buffer.copy_(before);
    drop(found);
    result.update = Step::Update::kDropped;
    return result;
  }
  result.note = recording_note();
  result.loss_z = losses_.add(found.loss);
  result.gradient_norm_z = norms_.add(found.norm);
  if (train_.text("on_divergence") == "skip") counters_.dropped_in_row = 0;
  counters_.ema = std::isnan(counters_.ema)
                      ? found.loss
                      : counters_.ema + kEmaGain * (found.loss - counters_.ema);
  ++counters_.step;
  return result;
}

std::string Trainer::recording_note() {
  if (recorded_ == nullptr || said_recorded_) return {};
  if (recorded_->recorded()) {
    said_recorded_ = true;
    return "steps are recorded as a graph of the GPU from here on";
  }
  if (recorded_->refusal().empty()) return {};
  said_recorded_ = true;
  return "steps cannot be recorded as a graph of the GPU: " + recorded_->refusal();
}

void Trainer::drop(const Gradients& found) {
  if (train_.text("on_divergence") != "skip" ||
      counters_.dropped_in_row >= train_.integer("max_skips")) {
    throw Diverged(diagnose(*model_, batches_, counters_.step, found.loss, found.norm));
  }
  ++counters_.step;
  ++counters_.dropped;
  ++counters_.dropped_in_row;
}

}  // namespace longwave::train
