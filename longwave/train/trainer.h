// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "longwave/base/options.h"
#include "longwave/data/loader.h"
#include "longwave/models/sequence_model.h"
#include "longwave/models/sequence_model_torch.h"
#include "longwave/train/adamw.h"
#include "longwave/train/batch.h"
#include "longwave/train/metrics_log.h"
#include "longwave/train/recorded_passes.h"
#include "longwave/train/schedule.h"
#include "longwave/train/window.h"

namespace longwave::train {

/// Where train.device says that training runs.
///
/// Errors     ConfigError if this build or this machine has no such device.
torch::Device device_of(const Options& train);

/// What train.precision rounds signals to. Process-wide, products of float32 matrices on a GPU are
/// exact from now on, or fast where it says tf32.
///
/// Errors     ConfigError if it asks for a GPU's tensor cores and training runs on the CPU.
nn::Precision precision_of(const Options& train, const torch::Device& device);

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
  double seconds = 0;          ///< spent in training, over all sessions of the run
  int64_t dropped = 0;         ///< batches whose update was dropped because it was not finite
  int64_t dropped_in_row = 0;  ///< of them, those since the run last got on
  int64_t anchor = -1;         ///< the last checkpoint that the recipe asked for; -1 = none yet
};

/// Gradients of the loss over some batches: one optimiser step's worth.
///
/// The random numbers of dropout depend on seed, step and place in the step only.
struct Gradients {
  double loss = 0;
  double norm = 0;

  bool finite() const { return std::isfinite(loss) && std::isfinite(norm); }
};

/// Everything of a run that changes while it trains.
///
/// The state is weights, moments and counters; all else follows from the recipe. `save` and
/// `restore` carry it over bit for bit: N + M steps are N steps, save, a new process, M steps.
///
/// Weights, moments and passes are where train.device says; batches wait on the CPU, and what is
/// saved is as from the CPU.
///
/// Errors     ConfigError, DataError for the recipe and its data; Diverged from `step`.
/// Threads    one owner at a time.
class Trainer {
 public:
  explicit Trainer(const Options& recipe);
  ~Trainer();

  struct Step {
    enum class Update : uint8_t { kMade, kDropped };
    Update update = Update::kMade;
    double loss = 0;
    double gradient_norm = 0;  ///< before clipping
    double lr = 0;             ///< of ordinary weights
    int64_t sequences = 0;
    int64_t time_steps = 0;
    std::optional<double> loss_z;           ///< against the last 128 steps
    std::optional<double> gradient_norm_z;  ///< the same
    std::string note = {};                  ///< what a log should say about it, if anything
  };

  /// Draws the batches of one optimiser step and updates the weights.
  ///
  /// Where train.on_divergence is "skip", batches with a loss or gradient that is not finite use up
  /// a step and change nothing else, up to train.max_skips in a row.
  /// Errors     Diverged if the loss or the gradient is not finite; weights, buffers and counters
  ///            are then those before the step, and the batches are behind.
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

  /// Continues from a checkpoint of this run with the data that come next now, and counts that as
  /// one dropped batch.
  void go_back(const std::filesystem::path& checkpoint);

  /// Overwrites the weights alone.
  void load(const Weights& weights);

  const Options& recipe() const { return recipe_; }
  const data::Dataset& dataset() const { return *dataset_; }
  const data::TaskInfo& info() const { return dataset_->info(); }
  models::TorchSequenceModel& model() { return *model_; }
  const models::TorchSequenceModel& model() const { return *model_; }
  const AdamW& optimiser() const { return *optimiser_; }
  torch::Device device() const { return device_; }
  nn::Precision precision() const { return precision_; }
  Counters& counters() { return counters_; }
  const Counters& counters() const { return counters_; }
  int64_t total_steps() const { return schedule_.steps; }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }

 private:
  /// Queues what `gradients` does: the losses of the batches, then the norms of all gradients, in
  /// float64 where the model is.
  torch::Tensor queue_gradients(const std::vector<Batch>& batches, int64_t step);

  /// The passes of that over feeds which are where the model is: what a GPU is told to do depends
  /// on their shapes alone.
  torch::Tensor passes(const std::vector<Feed>& feeds);

  /// What is new about the recording of passes, for a log.
  std::string recording_note();

  /// Finds the gradients of `batches_` and updates the weights if they are finite; what only the
  /// host can do then is left to the caller.
  Gradients update(double factor);

  /// Passes a step over, or throws Diverged if that is not wanted, or was done too often.
  void drop(const Gradients& found);

  Options recipe_;
  Options train_;
  uint64_t seed_;
  torch::Device device_;
  nn::Precision precision_;
  std::shared_ptr<const data::Dataset> dataset_;
  std::unique_ptr<data::Loader> loader_;
  std::shared_ptr<models::TorchSequenceModel> model_;
  std::unique_ptr<AdamW> optimiser_;
  Loss loss_;
  std::unique_ptr<RecordedPasses> recorded_;  ///< where train.graphs wants them
  bool said_recorded_ = false;
  Schedule schedule_;
  int64_t steps_per_epoch_ = 1;
  Counters counters_;
  std::vector<Batch> batches_;
  Window losses_;
  Window norms_;
};

}  // namespace longwave::train
