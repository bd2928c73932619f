// SPDX-License-Identifier: Apache-2.0
#include "longwave/inspect/verify.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"

namespace longwave::inspect {
namespace {

// Perturbations are this many units of rounding, so that they stand out of the rounding itself.
constexpr double kPerturbation = 1024;
constexpr int kPerturbations = 4;
constexpr double kSafety = 8;

/// What the whole model is fed with.
struct ModelInput {
  int64_t time = 0;
  std::vector<float> values;    // (time, input_size)
  std::vector<int64_t> tokens;  // (time)
};

/// Random samples of the size that the model was trained on.
ModelInput random_input(const models::Interface& interface, const Weights& weights,
                        const VerifySettings& settings) {
  Random random(settings.seed, stream_id("verify.input"));
  ModelInput input{.time = settings.length, .values = {}, .tokens = {}};
  if (interface.input == models::Interface::Input::kTokens) {
    for (int64_t t = 0; t < input.time; ++t) {
      input.tokens.push_back(random.integer(interface.input_size));
    }
    return input;
  }
  const Shape features = {interface.input_size};
  const bool has_scale = weights.has("encoder.scale") && weights.has("encoder.shift");
  for (int64_t t = 0; t < input.time; ++t) {
    for (int64_t i = 0; i < interface.input_size; ++i) {
      const double scale = has_scale ? weights.get("encoder.scale", features)[i] : 1.0;
      const double shift = has_scale ? weights.get("encoder.shift", features)[i] : 0.0;
      input.values.push_back(static_cast<float>(shift + scale * random.normal()));
    }
  }
  return input;
}

/// One model fed with one sequence, in whatever portions. Answers are rows of output_size.
class ModelRun {
 public:
  ModelRun(const models::SequenceModel& model, const ModelInput& input)
      : model_(model),
        interface_(model.config().interface),
        input_(input),
        per_step_(interface_.output == models::Interface::Output::kStep),
        workspace_(model.workspace_bytes(1, std::max<int64_t>(input.time, 1))) {}

  /// (time, output_size), or (1, output_size) where one answer a sequence is asked.
  std::vector<double> in_pieces(std::span<const int64_t> pieces) {
    begin();
    int64_t at = 0;
    for (const int64_t count : pieces) {
      if (count == 0) continue;
      const Workspace::Scope scope(workspace_);
      model_.prefill({.input = values(at, count),
                      .tokens = tokens(at, count),
                      .state = {state_.data(), {1, model_.state_size()}},
                      .output = {row(at), {1, per_step_ ? count : 1, interface_.output_size}}},
                     workspace_);
      at += count;
    }
    return {output_.begin(), output_.end()};
  }

  std::vector<double> step_by_step() {
    begin();
    for (int64_t t = 0; t < input_.time; ++t) {
      const Workspace::Scope scope(workspace_);
      const View<const float, 3> sample = values(t, 1);
      const View<const int64_t, 2> token = tokens(t, 1);
      model_.step({.input = sample.absent() ? View<const float, 2>() : sample[0],
                   .tokens = token.absent() ? View<const int64_t, 1>() : token[0],
                   .state = {state_.data(), {1, model_.state_size()}},
                   .output = {row(t), {1, interface_.output_size}}},
                  workspace_);
    }
    return {output_.begin(), output_.end()};
  }

 private:
  void begin() {
    state_.assign(static_cast<size_t>(model_.state_size()), 0);
    output_.assign(static_cast<size_t>((per_step_ ? input_.time : 1) * interface_.output_size),
                   std::numeric_limits<float>::quiet_NaN());
  }
  float* row(int64_t t) { return output_.data() + (per_step_ ? t * interface_.output_size : 0); }
  View<const float, 3> values(int64_t t, int64_t count) const {
    if (input_.values.empty()) return {};
    return {input_.values.data() + t * interface_.input_size, {1, count, interface_.input_size}};
  }
  View<const int64_t, 2> tokens(int64_t t, int64_t count) const {
    if (input_.tokens.empty()) return {};
    return {input_.tokens.data() + t, {1, count}};
  }

  const models::SequenceModel& model_;
  const models::Interface& interface_;
  const ModelInput& input_;
  bool per_step_;
  Workspace workspace_;
  std::vector<float> state_, output_;
};

void perturb(std::span<float> values, Random& random) {
  const double size = kPerturbation * std::numeric_limits<float>::epsilon();
  for (float& value : values) {
    value = static_cast<float>(value * (1 + size * random.uniform(-1, 1)));
  }
}

Weights perturbed(const Weights& weights, Random& random) {
  Weights result;
  for (const auto& [name, tensor] : weights.all()) {
    Tensor copy = tensor.clone();
    if (copy.dtype() == DType::kFloat32) perturb(copy.elements<float>(), random);
    result.put(name, std::move(copy));
  }
  return result;
}

/// The number of terms of the longest sum, by the widest tensor and the length.
double longest_sum(const Weights& weights, int64_t time) {
  int64_t longest = time;
  for (const auto& [name, tensor] : weights.all()) {
    for (const int64_t extent : tensor.shape()) longest = std::max(longest, extent);
  }
  return static_cast<double>(longest);
}

/// What rounding can do to each output: see `verify`.
std::vector<double> estimated_bound(const models::Config& config, const Weights& weights,
                                    double rate, const ModelInput& input,
                                    const std::vector<double>& answer) {
  std::vector<double> change(answer.size(), 0);
  const std::vector<int64_t> whole = {input.time};
  for (int i = 0; i < kPerturbations; ++i) {
    Random random(static_cast<uint64_t>(i), stream_id("verify.perturb"));
    const models::SequenceModel model(config, perturbed(weights, random), rate);
    ModelInput moved = input;
    perturb(moved.values, random);
    const std::vector<double> other = ModelRun(model, moved).in_pieces(whole);
    for (size_t k = 0; k < change.size(); ++k) {
      change[k] = std::max(change[k], std::abs(other[k] - answer[k]));
    }
  }
  // A single output may by chance not move: it is given what the outputs of its step moved on
  // average, and what rounding it once costs.
  const auto width = static_cast<size_t>(config.interface.output_size);
  const double factor = kSafety * std::sqrt(longest_sum(weights, input.time)) / kPerturbation;
  std::vector<double> bound(answer.size());
  for (size_t row = 0; row < bound.size(); row += width) {
    double mean = 0, size = 0;
    for (size_t k = row; k < row + width; ++k) {
      mean += change[k] / static_cast<double>(width);
      size = std::max(size, std::abs(answer[k]));
    }
    for (size_t k = row; k < row + width; ++k) {
      bound[k] = factor * std::max(change[k], mean) +
                 kSafety * size * std::numeric_limits<float>::epsilon();
    }
  }
  return bound;
}

void verify_model(const models::Config& config, const Weights& weights, double rate,
                  const models::SequenceModel& model, TrainingForm* training,
                  Verification& verification) {
  const VerifySettings& settings = verification.settings;
  const ModelInput input = random_input(config.interface, weights, settings);
  ModelRun run(model, input);
  const std::vector<int64_t> whole = {input.time};
  const std::vector<double> answer = run.in_pieces(whole);
  const std::vector<double> bound = estimated_bound(config, weights, rate, input, answer);
  const int64_t width = config.interface.output_size;
  const int64_t rows = static_cast<int64_t>(answer.size()) / width;
  const auto check = [&](const std::string& view, const std::vector<double>& got) {
    require(got.size() == answer.size(), "verify", "a view gave another number of outputs");
    verification.checks.push_back(compare({.subject = "model",
                                           .view = view,
                                           .against = "one prefill",
                                           .got = {got.data(), {rows, width}},
                                           .expected = {answer.data(), {rows, width}},
                                           .bound = {bound.data(), {rows, width}}}));
  };
  if (model.causal()) {
    check("recurrent", run.step_by_step());
    Random random(settings.seed, stream_id("verify.model"));
    check("chunked", run.in_pieces(random_pieces(input.time, random)));
  } else {
    verification.notes.emplace_back(
        "the model looks at later inputs: it has no recurrent and no chunked form");
  }
  if (training != nullptr) {
    const std::vector<float> got = training->model(input.values, input.tokens, input.time);
    check("training", {got.begin(), got.end()});
  } else {
    verification.notes.emplace_back(
        "the training form was not compared: this needs longwave-train");
  }
}

}  // namespace

bool Verification::ok() const {
  return std::ranges::all_of(checks, [](const ViewCheck& check) { return check.ok(); });
}

Verification verify(const models::Config& config, const Weights& weights, double rate,
                    const VerifySettings& settings, TrainingForm* training) {
  require(settings.length >= 1, "verify", "length must be at least 1");
  require(settings.splits >= 1, "verify", "splits must be at least 1");
  Verification verification{.settings = settings, .checks = {}, .notes = {}};
  const models::SequenceModel model(config, weights, rate);
  for (int64_t layer = 0; layer < model.layer_count(); ++layer) {
    const std::string subject =
        "layer " + std::to_string(layer) + " (" + model.layer_family(layer) + ")";
    LayerForm form;
    if (training != nullptr) {
      form = [&](std::span<const float> u, int64_t time) {
        return training->layer(layer, u, time);
      };
    }
    const std::vector<ViewCheck> checks =
        verify_mixer(model.layer_mixer(layer), subject, settings, form);
    if (checks.empty()) {
      verification.notes.push_back(subject + " is not a causal linear time-invariant system: " +
                                   "it is judged with the whole model");
    }
    verification.checks.insert(verification.checks.end(), checks.begin(), checks.end());
  }
  verify_model(config, weights, rate, model, training, verification);
  return verification;
}

}  // namespace longwave::inspect
