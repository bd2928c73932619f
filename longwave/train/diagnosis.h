// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "longwave/base/error.h"
#include "longwave/models/sequence_model_torch.h"
#include "longwave/train/batch.h"

namespace longwave::train {

/// Says which tensor went bad first when a step has a loss or gradient that is not finite.
///
/// Looked for in the order in which a step computes: inputs, parameters (encoder to decoder), then
/// gradients (decoder to encoder).
Report diagnose(const models::TorchSequenceModel& model, const std::vector<Batch>& batches,
                int64_t step, double loss, double gradient_norm);

}  // namespace longwave::train
