// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/io/gguf.h"
#include "longwave/models/published.h"

/// The metadata of GGUF files and the keys that families speak of, see models/families/family.h.
namespace longwave::runtime {

/// The keys of the file's architecture, ours, and what the tensors say.
///
/// Errors     DataError if the file names no architecture.
models::PublishedConfig description_of(const io::Gguf& file);

/// The metadata that describe the model. Numbers are float32 there; what is not, and would not come
/// back as it was meant, is kept as float64 under "longwave.real.".
///
/// Errors     ConfigError for an integer that 32 bits do not hold.
io::GgufMetadata metadata_of(const models::PublishedConfig& config);

/// Takes out the multipliers that tensors hold already: they can be taken out of float32 only.
void forget_multipliers(io::GgufMetadata& metadata);

}  // namespace longwave::runtime
