// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/data/loader.h"
#include "longwave/models/sequence_model.h"
#include "longwave/models/sequence_model_torch.h"
#include "longwave/train/adamw.h"
#include "longwave/train/batch.h"
#include "longwave/train/metrics_log.h"
#include "longwave/train/schedule.h"

namespace longwave::train {

/// What a model is fed and asked for by data of this kind.
models::Interface interface_for(const data::TaskInfo& info);

/// Fresh weights for a configuration, with the standardisation of the data in place.
Weights weights_for(const models::Config& config, const data::TaskInfo& info, uint64_t seed);

/// How far a run is, and what it remembers beside weights and moments.
struct Counters {
  int64_t step = 0;
  double ema = std::numeric_limits<double>::quiet_NaN();   ///< moving mean of the loss
  double best = std::numeric_limits<double>::quiet_NaN();  ///< best deciding metric so far
  int64_t best_step = -1;
  double seconds = 0;  ///< spent in training, over all sessions of the run
};

/// Gradients of the loss over some batches: one optimiser step's worth.
///
/// The random numbers of dropout depend on seed, step and place in the step only.
struct Gradients {
  double loss = 0;
  double norm = 0;
};

/// Everything of a run that changes while it trains.
///
/// The state is weights, moments and counters; all else follows from the recipe. `save` and
/// `restore` carry it over bit for bit: N + M steps are N steps, save, a new process, M steps.
///
/// Errors     ConfigError, DataError for the recipe and its data; Diverged from `step`.
/// Threads    one owner at a time.
class Trainer {
 public:
  explicit Trainer(const Options& recipe);
  ~Trainer();

  struct Step {
    double loss = 0;
    double gradient_norm = 0;  ///< before clipping
    double lr = 0;             ///< of ordinary weights
    int64_t sequences = 0;
    int64_t time_steps = 0;
  };

  /// Draws the batches of one optimiser step and updates the weights.
  ///
  /// Errors     Diverged if the loss or the gradient is not finite; the weights are then still
  /// those
  ///            before the step.
  Step step();

  /// Forward and backward passes over `batches` as step number `step` would make them.
  Gradients gradients(const std::vector<Batch>& batches, int64_t step);

  /// The batches of the last call of `step`.
  const std::vector<Batch>& last_batches() const { return batches_; }

  /// Writes train_state.safetensors, config.json, model.safetensors and, for text, tokenizer.json;
  /// returns what meta.json must say.
  Record save(const std::filesystem::path& folder) const;

  /// Continues from a checkpoint; DataError if it belongs to another model.
  void restore(const std::filesystem::path& checkpoint);

  /// Overwrites the weights alone.
  void load(const Weights& weights);

  const Options& recipe() const { return recipe_; }
  const data::Dataset& dataset() const { return *dataset_; }
  const data::TaskInfo& info() const { return dataset_->info(); }
  models::TorchSequenceModel& model() { return *model_; }
  const models::TorchSequenceModel& model() const { return *model_; }
  const AdamW& optimiser() const { return *optimiser_; }
  Counters& counters() { return counters_; }
  const Counters& counters() const { return counters_; }
  int64_t total_steps() const { return schedule_.steps; }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }

 private:
  Options recipe_;
  Options train_;
  uint64_t seed_;
  std::shared_ptr<const data::Dataset> dataset_;
  std::unique_ptr<data::Loader> loader_;
  std::shared_ptr<models::TorchSequenceModel> model_;
  std::unique_ptr<AdamW> optimiser_;
  Schedule schedule_;
  int64_t steps_per_epoch_ = 1;
  Counters counters_;
  std::vector<Batch> batches_;
};

}  // namespace longwave::train
