// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "longwave/io/gguf.h"
#include "longwave/text/tokenizer.h"

namespace longwave::runtime {

/// What goes along with a model's numbers, whatever form they are written in.
///
///   folders   the tokenizer's files; tokenizer_config.json, generation_config.json,
///             special_tokens_map.json and chat_template.jinja as they came
///   GGUF      the vocabulary; tokenizer.chat_template; tokenizer.file.NAME for the other files
struct Companions {
  std::shared_ptr<const text::Tokenizer> tokenizer;  ///< or none
  std::optional<std::string> chat_template;          ///< Jinja, also such as ChatTemplate refuses
  std::vector<text::StoredFile> files;               ///< of a folder: settings and templates
};

/// Those of a model in any form; `path` as for load_model_folder.
///
/// Errors     IoError; DataError for what is damaged or too large.
Companions load_companions(const std::filesystem::path& path);

/// The files that a folder gets. What the tokenizer says about its first and last tokens and the
/// template are added to the settings where those do not say it themselves.
std::vector<text::StoredFile> files_of(const Companions& companions);

/// Adds the files to a folder that is being written.
void write_companions(const std::filesystem::path& folder, const Companions& companions);

/// Adds what a GGUF file keeps, the vocabulary excepted.
void add_companions(const Companions& companions, io::GgufMetadata& metadata);

}  // namespace longwave::runtime
