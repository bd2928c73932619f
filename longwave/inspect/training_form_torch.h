// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "longwave/inspect/verify.h"

namespace longwave::inspect {

/// The training form of a model with these weights, in evaluation mode: what `verify` compares.
///
/// Errors     DataError if a weight is missing or misshapen.
std::unique_ptr<TrainingForm> make_training_form(const models::Config& config,
                                                 const Weights& weights);

}  // namespace longwave::inspect
