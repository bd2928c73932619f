// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "longwave/mixers/mixer_torch.h"

namespace longwave::mixers::s4 {

/// The training form of S4; the same parameters under the same names.
///
/// Without states it is the convolution with the kernel of the generating function. With an initial
/// or final state, or beyond the length of that kernel, it is the chunked form of the same system:
/// exact, and slower.
///
/// Errors     InvalidArgument if a bidirectional layer gets a sequence longer than its kernel.
std::unique_ptr<TorchMixer> make_torch(const Options& options, int64_t channels,
                                       TorchParameters parameters);

}  // namespace longwave::mixers::s4
