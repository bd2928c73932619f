// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd.h"

namespace longwave::ops {

/// The extents that operands have, on any device.
template <typename Inputs>
SsdSize ssd_size_of(const Inputs& in) {
  return {.batch = in.x.extent(0),
          .time = in.x.extent(1),
          .heads = in.x.extent(2),
          .head_dim = in.x.extent(3),
          .groups = in.B.extent(2),
          .state = in.B.extent(3)};
}

}  // namespace longwave::ops
