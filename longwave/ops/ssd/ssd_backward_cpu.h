// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "longwave/base/workspace.h"
#include "longwave/ops/ssd/ssd.h"
#include "longwave/ops/ssd/ssd_chunks.h"

namespace longwave::ops {

/// What the parts of the backward pass hand to each other, for a few sequences at a time.
///
/// Time is cut into windows of kSsdChunk steps; a chunk belongs to the window that it begins in. At
/// most one chunk of a window begins with a state from before, so that states have one slot a
/// window. A slot is a matrix (head_dim, state) with rows of whole vectors.
class SsdBackwardMemory {
 public:
  SsdBackwardMemory(const SsdSize& size, Workspace& workspace);
  static size_t bytes(const SsdSize& size);

  /// Sequences at a time: as few as keep the threads busy, because each takes memory.
  static int64_t sequences(const SsdSize& size);

  int64_t windows() const { return windows_; }
  int64_t row() const { return row_; }

  /// The state before the chunk that begins at a step; `s` counts sequences of this round.
  float* state(int64_t s, int64_t i, int64_t begin) const {
    return states_.data() + ((s * heads_ + i) * windows_ + begin / kSsdChunk) * slot_;
  }

  /// The gradient of the state after the chunk that ends before step `end`.
  float* gradient(int64_t s, int64_t i, int64_t end) const {
    const int64_t window = end == time_ ? windows_ : end / kSsdChunk;
    return gradients_.data() + ((s * heads_ + i) * (windows_ + 1) + window) * slot_;
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
  int64_t heads_, time_, windows_, row_, width_, slot_;
  std::span<float> states_, gradients_, D_;
  std::span<double> A_, bias_;
  std::span<int64_t> first_;
};

/// Sequences [b, b + count): where chunks begin, the states before them and the gradients of the
/// states after them; writes dh0.
void ssd_backward_states_cpu(const SsdGradArgs<float>& args, int64_t b, int64_t count,
                             const SsdBackwardMemory& memory, Workspace& workspace);
int64_t ssd_backward_states_floats(const SsdSize& size);

/// The same sequences: gradients of all that has an extent in time, and sums for the rest.
void ssd_backward_chunks_cpu(const SsdGradArgs<float>& args, int64_t b, int64_t count,
                             const SsdBackwardMemory& memory, Workspace& workspace);
int64_t ssd_backward_chunks_floats(const SsdSize& size);

}  // namespace longwave::ops
