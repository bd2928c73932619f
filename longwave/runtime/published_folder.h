// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/stored_tensor.h"
#include "longwave/models/published.h"
#include "longwave/runtime/companions.h"
#include "longwave/runtime/model_folder.h"

namespace longwave::runtime {

/// A config.json that others wrote, read.
struct PublishedDescription {
  models::PublishedFormat format;
  models::Config config;
};

/// Reads the text of a config.json; nothing if it is of no published form.
///
/// Errors     ConfigError at `where` if it is no JSON or, being of a published form, describes what
///            Longwave does not compute.
std::optional<PublishedDescription> parse_published_config(std::string_view text,
                                                           std::string_view where);

/// Reads the tensors beside it, one at a time: model.safetensors, or the files that
/// model.safetensors.index.json names, or else pytorch_model.bin or the files of its index, of
/// which nothing is executed. What our layers want as float32 becomes that. Of safetensors no more
/// is held than one tensor and, where they are kept, the mapped pages.
///
/// Errors     IoError; DataError if tensors are damaged, not finite or not those of the
///            configuration, if an index names a file elsewhere, or there are none.
void each_published_tensor(const std::filesystem::path& folder,
                           const PublishedDescription& description, ReadPages pages,
                           const TakeTensor& take);

/// Writes config.json and model.safetensors into a new or replaced folder, in one step, and
/// what goes along with them.
///
/// Errors     ConfigError if the form cannot express the model; IoError.
void save_published_folder(const std::filesystem::path& folder, models::PublishedFormat format,
                           const ModelFolder& model, const Companions& companions = {});

/// The same from a source, as float32, tensor by tensor.
void save_published_folder(const std::filesystem::path& folder, models::PublishedFormat format,
                           const ModelSource& source, const Companions& companions);

}  // namespace longwave::runtime
