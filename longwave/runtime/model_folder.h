// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "longwave/base/parameter.h"
#include "longwave/models/sequence_model.h"

namespace longwave::runtime {

/// A trained model on disk: `config.json` (format, interface and options as nested objects) and
/// `model.safetensors` (float32 tensors under the names of the parameter table) in one folder.
struct ModelFolder {
  models::Config config;
  Weights weights;
};

/// Reads and checks both files. IoError, ConfigError or DataError say what is wrong where.
ModelFolder load_model_folder(const std::filesystem::path& folder);

/// Writes both files so that a reader sees the old pair or the new one, never a mixture: to a
/// temporary folder beside it, synced, then renamed.
void save_model_folder(const std::filesystem::path& folder, const models::Config& config,
                       const Weights& weights);

}  // namespace longwave::runtime
