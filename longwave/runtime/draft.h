// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "longwave/runtime/model.h"
#include "longwave/text/tokenizer.h"

namespace longwave::runtime {

/// Loads the model that guesses ahead for another one, see Speculator; `rate` and `context` as for
/// Model::load.
///
/// Errors     as Model::load; DataError if its tokens mean something else than those of
///            `tokenizer`, which may be null.
std::shared_ptr<const Model> load_draft(const std::filesystem::path& path,
                                        const text::Tokenizer* tokenizer, double rate,
                                        int64_t context);

}  // namespace longwave::runtime
