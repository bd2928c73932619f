// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/base/parameter.h"
#include "longwave/io/gguf.h"
#include "longwave/models/published.h"

/// GGUF files hold A, not its logarithm, which does not come back bit by bit. So the metadata keep
/// the logarithm as well, as a text of 8 hexadecimal digits a float32:
/// "longwave.exact.blk.0.ssm_a".
namespace longwave::runtime {

/// Adds the numbers that we have where theirs do not give them back.
void keep_exact(const models::PublishedTensor& tensor, const Weights& ours,
                io::GgufMetadata& metadata);

/// Puts the kept numbers in the place of those that were computed, if there are any and they belong
/// to the tensor of the file; others are passed over.
void restore_exact(const io::GgufMetadata& metadata, const models::PublishedTensor& tensor,
                   const Weights& theirs, Weights& ours);

}  // namespace longwave::runtime
