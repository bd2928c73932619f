// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "longwave/base/stored_tensor.h"
#include "longwave/base/tensor.h"
#include "longwave/io/gguf.h"
#include "longwave/models/published.h"

/// GGUF files hold A, not its logarithm, which does not come back bit by bit. So the metadata keep
/// the logarithm as well, as a text of 8 hexadecimal digits a float32:
/// "longwave.exact.blk.0.ssm_a". They hold multiples of matrices, which divided again are at most
/// one float32 away from what they were: the metadata keep for each number whether it is the next
/// lower, the same or the next higher one, three of them a character:
/// "longwave.steps.layers.0.mixer.out_proj.weight".
namespace longwave::runtime {

/// Adds the numbers of a tensor of ours where theirs do not give them back.
void keep_exact(const models::PublishedTensor& names, const Tensor& ours,
                io::GgufMetadata& metadata);

/// Puts the kept numbers in the place of those that were computed, if there are any and they belong
/// to the tensor of the file; others are passed over.
void restore_exact(const io::GgufMetadata& metadata, const models::PublishedTensor& names,
                   const StoredTensor& theirs, Tensor& ours);

/// Adds how many float32 numbers lie between those of a tensor of ours as it came `back` and as it
/// is, if any; a tensor that came back further off, as tiny numbers may, is left as it is.
void keep_steps(const std::string& name, const Tensor& exact, const Tensor& back,
                io::GgufMetadata& metadata);

/// Goes these steps in a tensor of float32 that has as many numbers; others are passed over.
void restore_steps(const io::GgufMetadata& metadata, const std::string& name, Tensor& ours);

}  // namespace longwave::runtime
