// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "longwave/ops/selective_scan/selective_chunk.h"
#include "longwave/ops/selective_scan/selective_scan.h"

namespace longwave::ops {

/// How channels are cut into tiles, and tiles into spans that one work item takes through time
/// together, so that rows of memory are used while near. The cut depends on the shapes alone.
class SelectiveTiling {
 public:
  struct Tile {
    int64_t group, first, channels;  ///< group, first channel, channels
  };

  /// `spans` of each sequence and group are wanted, to keep that many threads busy.
  SelectiveTiling(const SelectiveScanSize& size, int64_t wanted_items, int64_t longest_span)
      : size_(size),
        group_channels_(size.channels / std::max<int64_t>(1, size.groups)),
        group_tiles_((group_channels_ + kTileLanes - 1) / kTileLanes) {
    const int64_t rows = std::max<int64_t>(1, size.batch * size.groups);
    const int64_t spans =
        std::clamp<int64_t>(wanted_items / rows, 1, std::max<int64_t>(1, group_tiles_));
    span_ = std::min((group_tiles_ + spans - 1) / spans, longest_span);
    spans_ = span_ == 0 ? 0 : (group_tiles_ + span_ - 1) / span_;
  }

  int64_t tiles() const { return size_.groups * group_tiles_; }
  int64_t group_tiles() const { return group_tiles_; }
  int64_t spans() const { return spans_; }        ///< of one sequence and group
  int64_t longest_span() const { return span_; }  ///< tiles of a span, the last may have fewer
  int64_t items() const { return size_.batch * size_.groups * spans_; }
  /// States of a panel.
  int64_t padded() const {
    return (size_.state + kStateMultiple - 1) / kStateMultiple * kStateMultiple;
  }
  /// Floats of one tile's panel of states.
  int64_t panel() const { return padded() * kTileLanes; }

  Tile tile(int64_t index) const {
    const int64_t group = index / group_tiles_, first = index % group_tiles_ * kTileLanes;
    return {group, group * group_channels_ + first, std::min(kTileLanes, group_channels_ - first)};
  }

  /// A work item: tiles [first, first + count) of a sequence.
  struct Item {
    int64_t b, first, count;
  };
  Item item(int64_t index) const {
    const int64_t span = index % spans_, row = index / spans_;
    const int64_t group = row % size_.groups;
    return {row / size_.groups, group * group_tiles_ + span * span_,
            std::min(span_, group_tiles_ - span * span_)};
  }

  const SelectiveScanSize& size() const { return size_; }

 private:
  SelectiveScanSize size_;
  int64_t group_channels_, group_tiles_;
  int64_t span_ = 0, spans_ = 0;
};

/// What tiles need of the operands without an extent in time, in the layout of the kernels.
class SelectiveFactors {
 public:
  static size_t bytes(const SelectiveTiling& tiling);

  /// Packs A / ln 2, D and dt_bias; zeros for void lanes, states and operands.
  SelectiveFactors(const SelectiveTiling& tiling, const SelectiveScanInputs<float>& in,
                   Workspace& workspace);

  /// Gives a tile's chunk its factors.
  void put(int64_t tile, SelectiveChunk& chunk) const;

 private:
  int64_t panel_;
  float* A_;
  float* D_;
  float* dt_bias_;
};

/// Some steps of one tile of a sequence.
struct SelectivePlace {
  int64_t b, tile, begin, time;
};

/// The operands of a place, without factors.
SelectiveChunk tile_chunk(const SelectiveTiling& tiling, const SelectiveScanInputs<float>& in,
                          const SelectivePlace& place);

/// Steps of one channel range of a sequence from `begin` on; null of an absent view.
template <typename T>
StepRows<T> rows_of(const View<T, 3>& view, int64_t b, int64_t begin, int64_t channel) {
  if (view.absent()) return {};
  return {view.data() + b * view.stride(0) + begin * view.stride(1) + channel * view.stride(2),
          view.stride(1), view.stride(2)};
}

}  // namespace longwave::ops
