// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "longwave/base/options.h"
#include "longwave/runtime/evaluate.h"
#include "longwave/train/progress.h"
#include "longwave/train/trainer.h"

namespace longwave::train {

/// What a run is started with.
struct Job {
  enum class Start : uint8_t { kFresh, kResume };
  Start start = Start::kFresh;
  Options recipe;
  std::filesystem::path folder;  ///< the run folder; made by a fresh start
  std::string recipe_text;       ///< the recipe file as it was given, kept as config.toml
  Record facts;                  ///< command and build, kept in env.json
  Talk::Write write;             ///< where talk goes
  Talk::Screen screen = Talk::Screen::kPlain;
  std::function<void(Trainer&)> before_step = {};  ///< sees the trainer before each step
};

/// How a run ended.
struct Outcome {
  enum class End : uint8_t { kFinished, kInterrupted };
  End end = End::kFinished;
  int64_t step = 0;
  double train_seconds = 0;     ///< in optimiser steps, over all sessions of the run
  std::string metric;           ///< the metric that decides which checkpoint is best
  double best = 0;              ///< its best value on the validation split
  std::filesystem::path model;  ///< the best checkpoint, or the last without validation
  std::optional<runtime::Evaluation> test;
};

/// Trains from a recipe until its end or a signal, leaving a run folder:
///
///   config.toml resolved.toml env.json log.txt metrics.jsonl metrics.csv
///   tb/                             the same numbers for TensorBoard, a file a session
///   samples/step_00001200.txt       what a language model makes of train.prompts
///   checkpoints/step_00001200/{model.safetensors,config.json,train_state.safetensors,meta.json}
///   checkpoints/{latest,best}, latest, best      links
///   diverged/                       if numbers went bad: what `replay` needs
///
/// Errors     ConfigError, DataError, IoError; Diverged after the bundle was written, where
///            train.on_divergence does not let the run go on.
Outcome run(const Job& job);

/// The recipe that a run was started with: resolved.toml.
Options recipe_of_run(const std::filesystem::path& folder);

/// Repeats the step that ended in diverged/ of a run, and says what is not finite.
///
/// Errors     IoError or DataError if there is no whole bundle; Diverged if it happens again.
void replay(const std::filesystem::path& folder);

}  // namespace longwave::train
