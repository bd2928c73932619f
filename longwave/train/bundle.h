// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "longwave/base/error.h"
#include "longwave/train/trainer.h"

namespace longwave::train {

/// Writes what repeats the step that just diverged: model.safetensors and config.json (weights
/// before the step), batches.safetensors, meta.json (step, seed, what was found).
///
/// Errors     IoError; an earlier bundle is replaced only by a whole one.
void write_bundle(const std::filesystem::path& folder, const Trainer& trainer,
                  const Report& report);

}  // namespace longwave::train
