// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "longwave/text/tokenizer_spec.h"

namespace longwave::text {

/// A file's name and what it holds.
struct StoredFile {
  std::string name, content;
  bool operator==(const StoredFile&) const = default;
};

/// What is said beside a tokenizer about the tokens that begin and end texts; what is not said is
/// left to the tokenizer.
struct TokenSettings {
  std::optional<bool> add_begin, add_end;  ///< do they stand around whole texts?
  std::optional<std::string> begin, end;   ///< the tokens, by their text
  std::vector<int64_t> ends;               ///< tokens that end what a model says
  bool operator==(const TokenSettings&) const = default;
};

/// Reads tokenizer_config.json (add_bos_token, add_eos_token, bos_token, eos_token) and
/// generation_config.json, or else config.json (eos_token_id), as far as they are in the folder.
///
/// Errors     IoError; DataError for what is damaged.
TokenSettings load_token_settings(const std::filesystem::path& folder);

/// The files that say the same: those of the two that have something to say.
std::vector<StoredFile> format_token_settings(const TokenSettings& settings);

/// Makes the tokenizer follow them. Tokens that it does not know are passed over.
void apply(const TokenSettings& settings, TokenizerSpec& spec);

}  // namespace longwave::text
