// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "longwave/base/workspace.h"
#include "longwave/ops/ssd/ssd.h"
#include "longwave/ops/ssd/ssd_chunks.h"

namespace longwave::ops {

/// What the parts of the backward pass hand to each other, for a few sequences at a time.
///
/// Time is cut into windows of kSsdChunk steps; a chunk belongs to the window that it begins in. At
/// most one chunk of a window begins with a state from before, and it is the first one, so that
/// states have one slot a window. A slot is a matrix (head_dim, state) with rows of whole vectors.
///
/// Slots are kept for one segment of kSegment windows at a time, from the last one to the first; of
/// the others only the state at their beginning is kept.
class SsdBackwardMemory {
 public:
  SsdBackwardMemory(const SsdSize& size, Workspace& workspace);
  static size_t bytes(const SsdSize& size);

  /// Sequences at a time: as few as keep the threads busy, because each takes memory.
  static int64_t sequences(const SsdSize& size);

  static constexpr int64_t kSegment = 16;

  int64_t windows() const { return windows_; }

  /// At least one, so that states pass even if there are no steps.
  int64_t segments() const { return std::max<int64_t>((windows_ + kSegment - 1) / kSegment, 1); }
  int64_t row() const { return row_; }

  /// The state before the chunk that begins at a step; `s` counts sequences of this round.
  float* state(int64_t s, int64_t i, int64_t begin) const {
    const int64_t slots = std::min(kSegment, windows_);
    return states_.data() + ((s * heads_ + i) * slots + begin / kSsdChunk % slots) * slot_;
  }

  /// The state at the beginning of a segment after the first one.
  std::span<float> entry(int64_t s, int64_t i, int64_t segment) const {
    return entries_.subspan(((s * heads_ + i) * (segments() - 1) + segment - 1) * slot_, slot_);
  }

  /// The gradient of the state after the chunk that ends before step `end`. One more slot than
  /// windows makes that of a segment's end outlive the step to the segment before.
  float* gradient(int64_t s, int64_t i, int64_t end) const {
    const int64_t window = end == time_ ? windows_ : end / kSsdChunk;
    const int64_t slots = std::min(kSegment, windows_) + 1;
    return gradients_.data() + ((s * heads_ + i) * slots + window % slots) * slot_;
  }

  /// Where the first chunk of a window begins.
  int64_t& first(int64_t s, int64_t window) const { return first_[s * windows_ + window]; }

  /// Sums over the steps of a window: of the gradients of A and dt_bias, and of D.
  struct Sums {
    double* A;
    double* bias;
    float* D;  // (head_dim)
  };
  Sums sums(int64_t b, int64_t window, int64_t i) const {
    const int64_t at = (b * windows_ + window) * heads_ + i;
    return {A_.data() + at, bias_.data() + at, D_.data() + at * width_};
  }

 private:
  explicit SsdBackwardMemory(const SsdSize& size);

  // How many slots of states, entries, sums over a window and beginnings of windows there are.
  struct Counts {
    int64_t slots, entries, sums, firsts;
  };
  Counts counts(const SsdSize& size) const;

  int64_t heads_, time_, windows_, row_, width_, slot_;
  std::span<float> states_, entries_, gradients_, D_;
  std::span<double> A_, bias_;
  std::span<int64_t> first_;
};

/// A part of the work: sequences [b, b + count) in one segment of time.
struct SsdBackwardPart {
  int64_t b = 0;
  int64_t count = 0;
  int64_t segment = 0;
};

/// Where chunks begin, the states before them and the gradients of the states after them; writes
/// dh0. Segments come from the last to the first.
void ssd_backward_states_cpu(const SsdGradArgs<float>& args, const SsdBackwardPart& part,
                             const SsdBackwardMemory& memory, Workspace& workspace);
int64_t ssd_backward_states_floats(const SsdSize& size);

/// After that: gradients of all that has an extent in time, and sums for the rest.
void ssd_backward_chunks_cpu(const SsdGradArgs<float>& args, const SsdBackwardPart& part,
                             const SsdBackwardMemory& memory, Workspace& workspace);
int64_t ssd_backward_chunks_floats(const SsdSize& size);

}  // namespace longwave::ops
