// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longwave/base/options.h"

namespace longwave::train {

/// Parameters of one part of a model.
struct Component {
  std::string name;      ///< "layers.0.mixer"
  int64_t main = 0;      ///< trained with train.lr and decay
  int64_t ssm = 0;       ///< trained with train.ssm_lr, no decay
  int64_t no_decay = 0;  ///< trained with train.lr, no decay
  int64_t buffer = 0;    ///< not trained
};

/// What a run would be like, found by building everything and timing a few steps.
struct Plan {
  std::vector<Component> components;  ///< in the order of the data flow
  Component total;
  int64_t sequences = 0;  ///< in the training split
  int64_t length = 0;     ///< time steps of the longest
  int64_t steps = 0;      ///< optimiser steps of the run
  int64_t sequences_a_step = 0;
  int64_t time_steps_a_step = 0;
  int64_t weight_bytes = 0;
  int64_t gradient_bytes = 0;
  int64_t optimiser_bytes = 0;
  int64_t activation_bytes = 0;  ///< measured: how far three steps raised the process's memory
  int64_t peak_bytes = 0;        ///< the most that the process has held, libraries and data too
  double seconds_a_step = 0;     ///< the median of three, after one that warms up
  double operations_a_time_step = 0;  ///< of arithmetic, see arithmetic.h
  double utilisation = 0;             ///< of the speed of a large product of matrices
  double loss = 0;                    ///< after those steps
};

/// Builds the model and data of a recipe, takes four steps, and writes nothing.
///
/// Errors     as Trainer.
Plan dry_run(const Options& recipe);

/// The plan as a table for people.
std::string to_text(const Plan& plan);

/// The plan as JSON.
std::string to_json(const Plan& plan);

}  // namespace longwave::train
