// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::cli {

/// Refuses to make a folder that is called like a GGUF file, which no command would read.
///
/// Errors     ConfigError with this way out.
inline void require_folder_name(const std::filesystem::path& out, std::string fix) {
  if (out.extension() != ".gguf") return;
  throw ConfigError({.where = out.string(),
                     .what = "this is the name of a GGUF file, and a folder is to be written",
                     .got = out.filename().string(),
                     .fix = std::move(fix)});
}

}  // namespace longwave::cli
