// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/mixers/mixer.h"

namespace longwave::mixers {

/// Steps [begin, begin + count), count >= 1, in reverse order.
template <typename T>
View<T, 3> reversed(const View<T, 3>& view, int64_t begin, int64_t count) {
  return {&view(0, begin + count - 1, 0),
          {view.extent(0), count, view.extent(2)},
          {view.stride(0), -view.stride(1), view.stride(2)}};
}

/// Bytes that add_look_ahead takes beyond those of the scan.
inline size_t look_ahead_workspace_bytes(int64_t batch, int64_t time, int64_t channels) {
  return Workspace::bytes_for<float>(batch * time * channels);
}

/// The backward half of a bidirectional layer: y[t] += scan over u[time-1], ..., u[t+1].
///
/// `scan(u, y)` runs a causal layer without skip from the zero state; it gets both in reverse
/// order. The present belongs to the forward half alone.
template <typename Scan>
void add_look_ahead(const Mixer::Prefill& args, Workspace& workspace, const Scan& scan) {
  const auto [batch, time, channels] = args.u.extents();
  if (time < 2 || batch == 0 || channels == 0) return;
  const View<float, 3> back(workspace.take<float>(batch * time * channels).data(),
                            args.u.extents());
  scan(reversed(args.u, 1, time - 1), reversed(back, 0, time - 1));
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t t = 0; t + 1 < time; ++t) {
      for (int64_t i = 0; i < channels; ++i) args.y(b, t, i) += back(b, t, i);
    }
  }
}

}  // namespace longwave::mixers
