// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "longwave/base/parallel.h"
#include "longwave/ops/attention/attention.h"

namespace longwave::ops {

/// Queries (steps times heads of a group) and keys that are worked on at once.
inline constexpr int64_t kAttentionRows = 64;
inline constexpr int64_t kAttentionKeys = 64;

/// Parts that the keys of a step are cut into: so many threads can share a single head. What they
/// are depends on the number of keys alone.
inline constexpr int64_t kStepShares = 8;

/// Extents of the blocks: `rows` queries are `steps` steps of all heads that share a key head;
/// padded extents are multiples of 16. With few steps in all, blocks are small.
struct AttentionBlocks {
  int64_t group, steps, rows, padded_rows, dim, padded_dim;

  AttentionBlocks(const AttentionShape& shape, int64_t time)
      : group(shape.heads / std::max<int64_t>(shape.kv_heads, 1)),
        steps(std::clamp<int64_t>(
            time, 1, std::max<int64_t>(1, kAttentionRows / std::max<int64_t>(group, 1)))),
        rows(steps * group),
        padded_rows((rows + 15) / 16 * 16),
        dim(shape.head_dim),
        padded_dim((dim + 15) / 16 * 16) {}

  /// Floats of scratch that one thread needs.
  int64_t forward_floats() const {
    return (padded_rows + rows + 2 * kAttentionKeys) * padded_dim +
           (kAttentionKeys + 5) * padded_rows;
  }
  /// The same for the step of streams, and floats of the parts that its threads make of so many
  /// key heads.
  int64_t step_floats() const {
    return (group + 2 * kAttentionKeys) * padded_dim + group * kAttentionKeys;
  }
  int64_t step_part_floats() const { return padded_dim + 16; }
  int64_t step_parts_floats(int64_t heads) const {
    return heads * kStepShares * group * step_part_floats();
  }
  int64_t backward_floats() const {
    return (2 * padded_rows + 3 * rows + 3 * kAttentionKeys) * padded_dim +
           (2 * kAttentionKeys + 4) * padded_rows;
  }
};

/// The rows of a block of queries: `steps` steps from `begin` on of the heads of one key head.
struct QueryBlock {
  int64_t sequence, kv_head, begin, steps, group;

  int64_t rows() const { return steps * group; }
  /// The place of a row's first number in (batch, time, heads, head_dim).
  template <typename T>
  T* at(const View<T, 4>& view, int64_t row) const {
    return view.data() + sequence * view.stride(0) + (begin + row / group) * view.stride(1) +
           (kv_head * group + row % group) * view.stride(2);
  }
};

/// What one query made of a part of its keys.
struct StepPart {
  float* most;   ///< largest score
  float* total;  ///< sum of weights relative to it
  float* sums;   ///< (padded_dim) of weighted values
};

/// The parts of all queries of a key head over one share of its keys; heads count through all
/// sequences.
class StepParts {
 public:
  StepParts(const AttentionBlocks& size, int64_t head, int64_t share, float* scratch)
      : floats_(size.step_part_floats()),
        at_(scratch + (head * kStepShares + share) * size.group * floats_) {}
  StepPart of(int64_t row) const {
    float* own = at_ + row * floats_;
    return {own, own + 1, own + 16};
  }

 private:
  int64_t floats_;
  float* at_;
};

/// How the items of a pass are shared out.
struct AttentionWork {
  int64_t items;
  int64_t floats;          ///< scratch of a thread
  int64_t operations;      ///< of one item, at most
  double grain = 1 << 21;  ///< fewer operations than that are not worth a thread more
};

/// Calls body(item, scratch of its thread) for all items, on as many threads as are worth it.
template <typename Body>
void for_each_item(const AttentionWork& work, std::span<float> scratch, const Body& body) {
  const int64_t room = static_cast<int64_t>(scratch.size()) / std::max<int64_t>(work.floats, 1);
  const double total = static_cast<double>(work.items) * static_cast<double>(work.operations);
  const auto worth = static_cast<int64_t>(std::min(total / work.grain, 1024.0));
  const int64_t most = std::min({work.items, room, worth});
  const int64_t workers = std::clamp<int64_t>(most, 1, thread_count());
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      float* own = scratch.data() + worker * work.floats;
      for (int64_t item = worker; item < work.items; item += workers) body(item, own);
    }
  });
}

/// The float kernels, for adjacent last extents.
void attention_cpu(const AttentionArgs<float>& args, std::span<float> scratch);
void attention_step_cpu(const AttentionArgs<float>& args, std::span<float> scratch);
void attention_backward_cpu(const AttentionGradArgs<float>& args, std::span<float> scratch);

}  // namespace longwave::ops
