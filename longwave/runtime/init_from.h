// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/base/options.h"
#include "longwave/models/sequence_model.h"

namespace longwave::runtime {

/// The recipe with the model of a checkpoint that training starts from: its layers, their options
/// and its vocabulary, which may be larger than that of the data. Dropout stays the recipe's.
///
/// Errors     ConfigError naming the option of the model that the recipe sets to something else.
Options with_model_of(const Options& recipe, const models::Config& checkpoint);

}  // namespace longwave::runtime
