// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "longwave/inspect/comparison.h"
#include "longwave/train/run.h"

namespace longwave::train {

/// What models are compared on, and how.
struct CompareJob {
  std::filesystem::path recipe = {};
  std::vector<std::string> overrides = {};  ///< "key=value", for all models

  /// Families, which take the place of every layer of the recipe's pattern, or whole patterns.
  std::vector<std::string> mixers = {};

  int64_t budget = 0;                 ///< trained parameters of each model; 0: those of the recipe
  std::vector<int64_t> lengths = {};  ///< of the sequences whose cost is measured; may be empty
  int64_t prefills = 5;               ///< timed ones at each length
  int64_t threads = 0;                ///< 0: as the recipe says

  enum class Training : uint8_t { kRun, kSkip };
  Training training = Training::kRun;

  std::filesystem::path folder = {};  ///< gets a folder for each model; made if need be
  std::vector<std::pair<std::string, std::string>> facts = {};
  Record run_facts = {};  ///< kept in env.json of each run
  Talk::Write write = {};
  Talk::Screen screen = Talk::Screen::kPlain;

  /// Measurements in a process of their own; nothing if that process failed.
  using Measured = std::optional<inspect::TrainingCost>;
  std::function<Measured(const std::filesystem::path& recipe)> step_cost = {};
  std::function<Measured(const std::filesystem::path& model, int64_t length)> length_cost = {};

  /// Sees the comparison after every measurement, so that an interruption loses little.
  std::function<void(const inspect::Comparison&)> publish = {};
};

/// Fits each model's width to the budget, then, one model after the other: measures a training step
/// on the recipe's batches, trains and tests as the recipe says, and measures what a sequence of
/// each length costs in training, prefill and single steps. A model that diverges is recorded as
/// such. For the costs by length attention sees all positions, whatever its window in training.
///
/// FOLDER/MODEL/{recipe.toml,run/,measured/} hold what each figure was measured on.
///
/// Returns    kInterrupted after a signal, with what was measured published.
/// Errors     ConfigError for mixers and recipe before any work; DataError for a
///            model whose step and prefill disagree; IoError.
Outcome::End compare(const CompareJob& job);

}  // namespace longwave::train
