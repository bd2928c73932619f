// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/types.h>

#include "longwave/models/sequence_model.h"
#include "longwave/nn/linear_torch.h"

namespace longwave::train {

/// Arithmetic operations of training a model by one time step:
///
///   6 n:  a multiplication and an addition forward, and twice that backward,
///
/// for each of the n trained numbers that a step uses: all but the rows of an embedding and the
/// weights of experts that are not chosen. What scans and attention do with their states, which is
/// not a product with weights, is left out, as is usual.
///
/// Source     Kaplan et al. 2020, arXiv:2001.08361, section 2.1.
double operations_a_time_step(const models::Config& config);

/// Operations a second of a large product of matrices on this device in this precision, the best
/// of a few: the speed that training can hope for.
///
/// Cost       some 50 ms.
double attainable_speed(const torch::Device& device, nn::Precision precision);

}  // namespace longwave::train
