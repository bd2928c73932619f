// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/inspect/comparison.h"
#include "longwave/runtime/model_folder.h"

namespace longwave::train {

/// Times forward and backward passes over one random sequence of `length` steps: the median of at
/// least three that take a third of a second together, after one that warms up. No optimiser, no
/// data.
///
/// Memory counts what this process came to hold beyond what it held after a pass over a short
/// sequence, which makes what all lengths share (gradients, threads, libraries' own): call it in a
/// process that has done nothing else.
inspect::TrainingCost measure_training(const runtime::ModelFolder& model, int64_t length);

}  // namespace longwave::train
