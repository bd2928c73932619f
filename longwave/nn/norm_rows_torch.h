// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/nn/norm_torch.h"
#include "longwave/ops/norm/norm.h"

namespace longwave::nn {

/// x as dense rows of channels, (batch * time, channels).
inline torch::Tensor rows_of(const torch::Tensor& x) {
  return x.contiguous().view({-1, x.size(-1)});
}

/// The operator of a norm that works on rows.
inline ops::RowNorm row_norm_of(NormKind kind) {
  return kind == NormKind::kLayer ? ops::RowNorm::kLayer : ops::RowNorm::kRms;
}

/// What a norm adds after scaling, which only layer norm has.
inline c10::optional<torch::Tensor> shift_of(NormKind kind, const ParameterLookup& parameters) {
  return kind == NormKind::kLayer ? c10::optional<torch::Tensor>(parameters("bias")) : c10::nullopt;
}

}  // namespace longwave::nn
