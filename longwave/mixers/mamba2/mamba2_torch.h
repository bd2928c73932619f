// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "longwave/mixers/mixer_torch.h"

namespace longwave::mixers::mamba2 {

/// The training form of Mamba-2; the same parameters under the same names.
std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters);

}  // namespace longwave::mixers::mamba2
