// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "longwave/mixers/mixer_torch.h"

namespace longwave::mixers::attention {

/// The training form of attention; the same parameters under the same names.
std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters);

}  // namespace longwave::mixers::attention
