// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "longwave/base/dtype.h"
#include "longwave/runtime/companions.h"
#include "longwave/runtime/model_folder.h"

/// Models in GGUF files, as llama.cpp writes and reads them.
namespace longwave::runtime {

/// Whether the path is a file that ends in .gguf.
bool is_gguf_file(const std::filesystem::path& path);

/// Reads a model, tensor by tensor; the architecture's family says what its keys and names mean.
///
/// Errors     IoError; DataError if the file is damaged, and, when the tensors are read, if they
///            are of a type that Longwave does not compute with, not finite, or not those of the
///            model;
///            ConfigError for an architecture or a value that is not supported.
ModelSource open_gguf_model(const std::filesystem::path& path,
                            ReadPages pages = ReadPages::kForgotten);

/// The tokenizer inside; none if there is none.
std::shared_ptr<const text::Tokenizer> load_gguf_tokenizer(const std::filesystem::path& path);

/// The chat template inside; none if there is none.
std::optional<text::ChatTemplate> load_gguf_chat_template(const std::filesystem::path& path);

/// Writes a model, atomically, with what goes along with it. A source is read tensor by tensor, and
/// twice unless matrices become a `type` that rounds: what float32 needs besides stands before the
/// first tensor.
///
/// Matrices of weights become `type`, or keep what they have if that is absent. As llama.cpp has
/// it, convolutions, A, D, norms and biases are float32, and a row that is no multiple of a type's
/// block takes q8_0, or else float16.
///
/// Errors     ConfigError if the form cannot express the model; IoError.
void save_gguf_model(const std::filesystem::path& path, const ModelSource& source,
                     const Companions& companions = {}, std::optional<DType> type = {});
void save_gguf_model(const std::filesystem::path& path, const ModelFolder& model,
                     const Companions& companions = {}, std::optional<DType> type = {});

}  // namespace longwave::runtime
