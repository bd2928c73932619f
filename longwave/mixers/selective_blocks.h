// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/mixers/mixer.h"
#include "longwave/ops/causal_conv1d/causal_conv1d.h"

namespace longwave::mixers {

/// Steps that are worked on at once: enough rows for a fast product, few enough for the cache.
inline int64_t block_steps(int64_t batch, int64_t time) {
  constexpr int64_t kRows = 1024, kLeast = 64;
  return std::min(time, std::max(kLeast, kRows / std::max<int64_t>(batch, 1)));
}

/// Calls `run(block)` for one block of steps after the other; nothing for an empty batch.
template <typename Run>
void run_in_blocks(const Mixer::Prefill& args, const Run& run) {
  const int64_t batch = args.u.extent(0), time = args.u.extent(1);
  if (batch == 0) return;
  const int64_t steps = block_steps(batch, time);
  for (int64_t begin = 0; begin < time; begin += steps) {
    const int64_t count = std::min(steps, time - begin);
    Mixer::Prefill block = {.u = args.u.slice(1, begin, count),
                            .state = args.state,
                            .y = args.y.slice(1, begin, count)};
    if (!args.starts.absent()) block.starts = args.starts.slice(1, begin, count);
    run(block);
  }
}

/// The short convolution with SiLU in front of a selective scan.
struct ShortConvolution {
  View<const float, 2> w;  // (channels, width)
  View<const float, 1> b;  // (channels), or absent

  /// x (batch, time, channels) to a tensor of its shape in `workspace`. Moves on the history that
  /// state rows begin with: the last width - 1 inputs, oldest first.
  ///
  /// With a journal, (batch, time, history), it goes step by step and writes down each step's.
  View<float, 3> apply(const Mixer::Prefill& block, const View<const float, 3>& x,
                       Workspace& workspace, View<float, 3> journal = {}) const {
    const View<float, 3> y(workspace.take<float>(x.size()).data(), x.extents());
    if (journal.absent()) {
      run(block, x, y);
      return y;
    }
    for (int64_t t = 0; t < x.extent(1); ++t) {
      copy_rows(block.state.slice(1, 0, journal.extent(2)), at_step(journal, t));
      run(block, x.slice(1, t, 1), y.slice(1, t, 1));
    }
    return y;
  }

 private:
  void run(const Mixer::Prefill& block, const View<const float, 3>& x, View<float, 3> y) const {
    const int64_t channels = w.extent(0);
    const View<float, 3> history(block.state.data(), {x.extent(0), w.extent(1) - 1, channels},
                                 {block.state.stride(0), channels, 1});
    ops::causal_conv1d<float>({.activation = ops::ConvActivation::kSilu,
                               .x = x,
                               .w = w,
                               .b = b,
                               .history = history,
                               .starts = block.starts,
                               .y = y,
                               .final_history = history});
  }
};

}  // namespace longwave::mixers
