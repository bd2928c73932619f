// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "longwave/base/parameter.h"
#include "longwave/base/stored_tensor.h"
#include "longwave/models/sequence_model.h"
#include "longwave/text/chat_template.h"
#include "longwave/text/tokenizer.h"

namespace longwave::runtime {

/// A trained model on disk: `config.json` and `model.safetensors` in one folder.
///
///   config.json        {"format": "longwave-model", "version": 1, "io": {...}, "model": {...},
///                      and a section for each family in the pattern}
///   model.safetensors  tensors under the names of the parameter table: float32, and matrices of
///                      any type for weights
///   tokenizer.json     what the tokens mean, if they are text; or tokenizer.model
struct ModelFolder {
  models::Config config;
  Weights weights;
};

/// Version of config.json that this library writes and reads.
inline constexpr int64_t kModelVersion = 1;

/// The text of config.json.
std::string format_model_config(const models::Config& config);

/// Reads the text of config.json. Options that are left out have their defaults, except "format",
/// "version", "io.*", "model.pattern" and "model.d_model", which must be there.
///
/// Errors     ConfigError at "where:line" for what is unknown, missing or out of range.
models::Config parse_model_config(std::string_view text, std::string_view where);

/// Reads and checks both files; `path` may also be a run, whose best checkpoint is meant, a model
/// as state-spaces or Hugging Face publish it (see published_folder.h), or a GGUF file (see
/// gguf_file.h).
///
/// Errors     IoError if a file cannot be read; ConfigError as above; DataError if the tensors are
///            damaged, not finite, or not those of the configuration.
ModelFolder load_model_folder(const std::filesystem::path& path);

/// What becomes of the memory that holds mapped pages of a file once they were looked at.
enum class ReadPages : uint8_t {
  kKept,       ///< stays until all is read: the pages are checked and copied without a second fault
  kForgotten,  ///< is let go of tensor by tensor, so that large files take little memory
};

/// A model that is read tensor by tensor, so that more than one need not be held.
struct ModelSource {
  models::Config config;
  /// Gives every tensor to a function; may be called again.
  std::function<void(const TakeTensor& take)> each;
};

/// The same model as `load_model_folder` reads; what is wrong with a tensor is said when it is
/// read. `pages` is for published folders and GGUF files. Errors as there.
ModelSource open_model_folder(const std::filesystem::path& path,
                              ReadPages pages = ReadPages::kForgotten);

/// Gives the attention layers of a model memory for so many positions: the longest sequence that
/// its states take. Models without such layers, and those that forget what leaves their window,
/// are left as they are.
///
/// Errors     ConfigError if the model does not know so many positions.
void set_context(models::Config& config, int64_t positions);

/// Replaces or creates the folder in one step: a reader sees the old pair or the new one, never a
/// mixture. Whatever else an earlier folder of the name held is gone.
///
/// Errors     IoError, an earlier folder is untouched then; DataError if a tensor is missing.
void save_model_folder(const std::filesystem::path& folder, const models::Config& config,
                       const Weights& weights);

/// Writes both files into an existing folder, for those who add more files to it before they make
/// it visible (io::AtomicFolder). Errors as `save_model_folder`.
void write_model_files(const std::filesystem::path& folder, const models::Config& config,
                       const Weights& weights);

/// The same from a source, each tensor as `change` makes it.
struct ModelChange {
  std::function<DType(const Parameter& parameter)> type;  ///< of the tensor in the new file
  std::function<Tensor(const Parameter& parameter, Tensor tensor)> change;
};
void write_model_files(const std::filesystem::path& folder, const ModelSource& source,
                       const ModelChange& change);

/// Adds the tokenizer's files to a folder that is being written.
void write_tokenizer(const std::filesystem::path& folder, const text::Tokenizer& tokenizer);

/// The tokenizer that a model, or the best checkpoint of a run, was trained with; none if its
/// tokens are not text. DataError if the file is damaged.
std::shared_ptr<const text::Tokenizer> load_tokenizer(const std::filesystem::path& path);

/// What conversations with the model look like; none if it was not taught any. DataError if the
/// template is damaged or needs what is not supported.
std::optional<text::ChatTemplate> load_chat_template(const std::filesystem::path& path);

}  // namespace longwave::runtime
