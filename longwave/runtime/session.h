// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "longwave/models/sequence_model.h"
#include "longwave/runtime/state.h"

namespace longwave::runtime {

/// A loaded model, shared by its sessions.
///
/// Errors     as load_model_folder; InvalidArgument if the rate is not positive and finite.
/// Threads    immutable: share it freely.
class Model {
 public:
  /// `rate` multiplies every step size: 2 for data sampled half as often as in training. `context`
  /// is the longest sequence where attention sees all positions (see set_context); 0 leaves it.
  static std::shared_ptr<const Model> load(const std::filesystem::path& folder, double rate = 1.0,
                                           int64_t context = 0);
  Model(models::Config config, const Weights& weights, double rate = 1.0);

  const models::SequenceModel& network() const { return network_; }

  /// A step is a token, not a row of real numbers.
  bool takes_tokens() const;

  /// Numbers of a step's answer: the vocabulary of a language model.
  size_t output_size() const;

  /// 64 bits over configuration, rate and weights: a state belongs to one fingerprint.
  uint64_t fingerprint() const { return fingerprint_; }

 private:
  models::SequenceModel network_;
  uint64_t fingerprint_;
};

/// One sequence being processed in constant memory.
///
///   Session session(Model::load("runs/demo"));
///   for (float sample : samples) use(session.step({&sample, 1}));
///
/// To fork a sequence, copy `state()` and `restore` it later, here or in another session.
///
/// Errors     InvalidArgument, with the state untouched, if the input has the wrong size, is not
///            finite or not in the vocabulary; if the context is full; if a model that looks ahead
///            is stepped, or is given a second piece of a sequence.
/// Threads    one owner at a time.
class Session {
 public:
  explicit Session(std::shared_ptr<const Model> model);

  const Model& model() const { return *model_; }

  /// Any number of samples at once, (time, input_size) row after row; returns outputs row after row
  /// (`output_size` numbers a step, or only the last answer where one a sequence is asked). The
  /// result is valid until the next call.
  std::span<const float> prefill(std::span<const float> input);
  std::span<const float> prefill(std::span<const int64_t> tokens);

  /// One sample; never allocates. The result is valid until the next call.
  std::span<const float> step(std::span<const float> sample);
  std::span<const float> step(int64_t token);

  const State& state() const { return state_; }

  /// Continues from `state`; InvalidArgument if it belongs to another model.
  void restore(const State& state);

  /// Back to the state before the first sample.
  void reset();

 private:
  using Network = models::SequenceModel;

  std::span<const float> prefill(Network::Prefill args, int64_t time);
  std::span<const float> step(Network::Step args);
  int64_t input_size() const { return model_->network().config().interface.input_size; }

  std::shared_ptr<const Model> model_;
  State state_;
  Workspace step_workspace_;
  std::optional<Workspace> prefill_workspace_;  // grows to what the longest call so far needed
  std::vector<float> output_;
};

}  // namespace longwave::runtime
