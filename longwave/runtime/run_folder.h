// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>

namespace longwave::runtime {

/// The model folder that a path means: itself if it holds weights, else the best or the
/// latest checkpoint if it is the folder of a run.
///
/// Errors     IoError if it is neither.
std::filesystem::path find_model_folder(const std::filesystem::path& path);

/// resolved.toml of the run that a model folder is a checkpoint of; nothing if it stands alone.
std::optional<std::filesystem::path> find_recipe(const std::filesystem::path& model_folder);

}  // namespace longwave::runtime
