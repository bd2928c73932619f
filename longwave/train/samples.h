// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "longwave/train/trainer.h"

namespace longwave::train {

/// Lets a language model go on with each of train.prompts for train.sample_tokens tokens, and
/// writes samples/step_00001200.txt in the run folder. The draws are those of the recipe's seed, so
/// that what differs between two steps is the model.
///
/// Does nothing for other tasks, models that look ahead, or train.sample_tokens = 0. A model that
/// fails in the middle of an answer leaves it short, and says so there: a sample never ends a run.
/// Errors     IoError.
void write_samples(const std::filesystem::path& run_folder, const Trainer& trainer);

}  // namespace longwave::train
