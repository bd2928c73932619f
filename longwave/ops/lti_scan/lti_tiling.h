// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <cstdint>

#include "longwave/base/view.h"
#include "longwave/ops/lti_scan/lti_blocks.h"

namespace longwave::ops {

/// How sequences and modes share the lanes of a tile, the unit of work of the float kernels.
///
/// A tile runs `kLanes` real recurrences side by side. With 16 channels or more a lane is a channel
/// of one sequence in the batch. With fewer, rows of the batch are put beside each other, and if
/// lanes are still free the modes of a sequence are dealt over `slices` lanes, whose outputs are
/// added at the end:
///
///   lane = slice * slice_lanes + row * width + channel      mode = m * slices + slice
///
/// The cut depends on the shapes alone, so results are the same for any number of threads.
class LtiTiling {
 public:
  static constexpr int64_t kLanes = 16;
  /// Floats that one mode of a panel takes: a complex number, and the factors a and c.
  static constexpr int64_t kComplex = 2 * kLanes;
  static constexpr int64_t kFactors = 2 * kComplex;

  /// What one lane computes.
  struct Lane {
    int64_t row, channel, slice;  ///< of the batch, of all channels, of the modes
  };

  LtiTiling(int64_t batch, int64_t channels, int64_t modes);

  int64_t groups() const { return groups_; }          ///< parts of the channels
  int64_t row_blocks() const { return row_blocks_; }  ///< parts of the batch
  int64_t lane_modes() const { return lane_modes_; }  ///< modes of one lane, the last may be void
  int64_t slices() const { return slices_; }
  int64_t slice_lanes() const { return kLanes / slices_; }

  /// Sequences in the tile of `row_block` and `group`: they fill the first lanes of each slice.
  int64_t sequences(int64_t row_block, int64_t group) const {
    return rows(row_block) * width(group);
  }

  /// The lane's row, channel and slice.
  Lane lane(int64_t row_block, int64_t group, int64_t lane) const {
    const int64_t sequence = lane % slice_lanes();
    return {row_block * rows_ + sequence / width(group), group * kLanes + sequence % width(group),
            lane / slice_lanes()};
  }

  /// Calls `body(lane index, Lane)` for every lane of a tile that has work.
  template <typename Body>
  void for_each_lane(int64_t row_block, int64_t group, Body body) const {
    for (int64_t slice = 0; slice < slices_; ++slice) {
      for (int64_t sequence = 0; sequence < sequences(row_block, group); ++sequence) {
        const int64_t index = slice * slice_lanes() + sequence;
        body(index, lane(row_block, group, index));
      }
    }
  }

  /// The mode that lane position `m` of a slice stands for; may be `modes` or more: void.
  int64_t mode(int64_t m, int64_t slice) const { return m * slices_ + slice; }
  int64_t modes() const { return modes_; }

  /// Floats of one group's factors.
  int64_t factor_size() const { return lane_modes_ * kFactors; }

  /// Copies a and c, both (channels, modes), into `panels[groups][lane_modes][4][kLanes]`.
  void pack_factors(View<const std::complex<float>, 2> a, View<const std::complex<float>, 2> c,
                    float* panels) const;

  /// The skip of a group's lanes; 0 where d is absent, and in every slice but the first.
  void pack_skip(int64_t group, View<const float, 1> d, float* lanes) const;

  /// Copies steps [begin, begin + time) of a tile's sequences into `panel[time][kLanes]`, repeated
  /// for every slice; lanes without work become 0.
  void load(View<const float, 3> from, int64_t row_block, int64_t group, int64_t begin,
            int64_t time, float* panel) const;

  /// The rows of steps [begin, begin + count) that `load` or `store` will touch, as a hint for
  /// fetching them ahead; steps beyond the end are left out.
  SoonRows soon(View<const float, 3> signal, int64_t row_block, int64_t group, int64_t begin,
                int64_t count) const;

  /// The reverse: adds up the slices of `panel[time][kLanes]` and writes the steps of `to`.
  void store(const float* panel, int64_t row_block, int64_t group, int64_t begin, int64_t time,
             View<float, 3> to) const;

  /// Copies complex numbers a lane and mode into `panel[lane_modes][stride / kLanes][kLanes]`,
  /// real parts at `panel`, imaginary parts kLanes further, the next mode `stride` further; void
  /// places become 0. `at(lane, mode)` gives the number.
  template <typename At>
  void pack(int64_t row_block, int64_t group, int64_t stride, float* panel, At at) const;

  /// The reverse: calls `put(lane, mode, complex)`.
  template <typename Put>
  void unpack(const float* panel, int64_t row_block, int64_t group, Put put) const;

 private:
  int64_t rows(int64_t row_block) const {
    const int64_t left = batch_ - row_block * rows_;
    return left < rows_ ? left : rows_;
  }
  int64_t width(int64_t group) const {
    const int64_t left = channels_ - group * kLanes;
    return left < kLanes ? left : kLanes;
  }

  int64_t batch_, channels_, modes_;
  int64_t rows_ = 1, slices_ = 1;
  int64_t lane_modes_ = 0, groups_ = 0, row_blocks_ = 0;
};

template <typename At>
void LtiTiling::pack(int64_t row_block, int64_t group, int64_t stride, float* panel, At at) const {
  for (int64_t m = 0; m < lane_modes_; ++m) {
    for (int64_t i = 0; i < 2 * kLanes; ++i) panel[m * stride + i] = 0;
  }
  for_each_lane(row_block, group, [&](int64_t index, const Lane& lane) {
    for (int64_t m = 0; m < lane_modes_ && mode(m, lane.slice) < modes_; ++m) {
      const std::complex<float> value = at(lane, mode(m, lane.slice));
      panel[m * stride + index] = value.real();
      panel[m * stride + kLanes + index] = value.imag();
    }
  });
}

template <typename Put>
void LtiTiling::unpack(const float* panel, int64_t row_block, int64_t group, Put put) const {
  for_each_lane(row_block, group, [&](int64_t index, const Lane& lane) {
    for (int64_t m = 0; m < lane_modes_ && mode(m, lane.slice) < modes_; ++m) {
      const float* at = panel + m * 2 * kLanes + index;
      put(lane, mode(m, lane.slice), std::complex<float>(at[0], at[kLanes]));
    }
  });
}

}  // namespace longwave::ops
