// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/torch.h>

namespace longwave::ops {

/// The type that autocast asks for on that device, or none where it is off.
c10::optional<torch::ScalarType> autocast_type(const torch::Device& device);

/// Leaves autocast aside in this thread as long as it lives, so that operations of torch compute in
/// the types that they are given.
class WithoutAutocast {
 private:
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

}  // namespace longwave::ops
