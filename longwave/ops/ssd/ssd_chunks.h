// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "longwave/base/parallel.h"
#include "longwave/base/view.h"
#include "longwave/base/workspace.h"
#include "longwave/ops/ssd/ssd.h"
#include "longwave/ops/ssd/ssd_product.h"
#include "longwave/ops/ssd/ssd_rows.h"

namespace longwave::ops {

/// Adjacent steps of one sequence that are computed together.
struct SsdChunk {
  int64_t begin = 0;
  int64_t count = 0;
  bool fresh = false;  ///< nothing is left of the state before it: a sequence starts here

  int64_t end() const { return begin + count; }
};

/// The chunk that begins at a step: it ends before the next start, and after kSsdChunk steps.
inline SsdChunk ssd_chunk_at(const View<const uint8_t, 2>& starts, int64_t b, int64_t time,
                             int64_t begin) {
  SsdChunk chunk{.begin = begin, .count = std::min(kSsdChunk, time - begin)};
  if (starts.absent() || chunk.count <= 0) return chunk;
  chunk.fresh = starts(b, begin) != 0;
  for (int64_t t = 1; t < chunk.count; ++t) {
    if (starts(b, begin + t) != 0) chunk.count = t;
  }
  return chunk;
}

/// Rows [begin, begin + count) in time of one head or group: where they lie, if numbers are
/// adjacent there (and rows whole vectors, if asked for), else a copy in `scratch`, whose rows are
/// padded with zeros.
enum class SsdPadding : uint8_t { kAny, kWhole };
inline SsdRows ssd_rows_of(const View<const float, 4>& view, int64_t b, const SsdChunk& chunk,
                           int64_t i, SsdPadding padding, float* scratch) {
  const int64_t columns = view.extent(3);
  const float* data =
      view.data() + b * view.stride(0) + chunk.begin * view.stride(1) + i * view.stride(2);
  const bool adjacent = columns <= 1 || view.stride(3) == 1;
  if (adjacent && (padding == SsdPadding::kAny || columns % kSsdLanes == 0)) {
    return {data, view.stride(1)};
  }
  const int64_t row = ssd_padded(columns);
  for (int64_t t = 0; t < chunk.count; ++t) {
    const float* from = data + t * view.stride(1);
    float* to = scratch + t * row;
    for (int64_t c = 0; c < columns; ++c) to[c] = from[c * view.stride(3)];
    std::fill(to + columns, to + row, 0.0f);
  }
  return {scratch, row};
}

/// The rows of one head in a chunk, as far as numbers are adjacent.
template <typename T>
SsdSoon ssd_soon(const View<T, 4>& view, int64_t b, const SsdChunk& chunk, int64_t i) {
  return {view.data() + b * view.stride(0) + chunk.begin * view.stride(1) + i * view.stride(2),
          view.stride(1), chunk.count, view.stride(3) == 1 ? view.extent(3) : 0};
}

/// The same of what comes after head i: the next one of `count` heads from `first` on, or after the
/// last the first in the following chunk.
template <typename T>
SsdSoon ssd_soon_next(const View<T, 4>& view, int64_t b, const SsdChunk& chunk, int64_t i,
                      int64_t first, int64_t count) {
  if (i + 1 < first + count) return ssd_soon(view, b, chunk, i + 1);
  const int64_t left = view.extent(1) - chunk.end();
  return ssd_soon(view, b, {.begin = chunk.end(), .count = std::min(kSsdChunk, left)}, first);
}

/// Where a chunk writes its rows: in place if numbers are adjacent there, else in `scratch`, from
/// which `finish` copies them.
class SsdOutRows {
 public:
  SsdOutRows(const View<float, 4>& view, int64_t b, const SsdChunk& chunk, int64_t i,
             float* scratch)
      : to_(view.data() + b * view.stride(0) + chunk.begin * view.stride(1) + i * view.stride(2)),
        rows_(chunk.count),
        columns_(view.extent(3)),
        row_(view.stride(1)),
        step_(view.stride(3)),
        scratch_(columns_ <= 1 || step_ == 1 ? nullptr : scratch) {}

  float* data() const { return scratch_ == nullptr ? to_ : scratch_; }
  int64_t row() const { return scratch_ == nullptr ? row_ : ssd_padded(columns_); }

  void finish() const {
    for (int64_t t = 0; t < rows_ && scratch_ != nullptr; ++t) {
      for (int64_t c = 0; c < columns_; ++c) {
        to_[t * row_ + c * step_] = scratch_[t * ssd_padded(columns_) + c];
      }
    }
  }

 private:
  float* to_;
  int64_t rows_, columns_, row_, step_;
  float* scratch_;
};

/// Step sizes before softplus of one head in a chunk, and what softplus and limits make of them.
template <typename Args>
void ssd_chunk_raw_steps(const Args& args, int64_t b, const SsdChunk& chunk, int64_t i,
                         float* raw) {
  const float bias = args.dt_bias.absent() ? 0.0f : args.dt_bias(i);
  for (int64_t t = 0; t < chunk.count; ++t) raw[t] = args.dt(b, chunk.begin + t, i) + bias;
}

template <typename Args>
void ssd_chunk_decays(const Args& args, int64_t b, const SsdChunk& chunk, int64_t i,
                      SsdDecays& decays) {
  ssd_chunk_raw_steps(args, b, chunk, i, decays.d);
  ssd_step_sizes(chunk.count, decays.d, args.limits, decays.d);
  std::fill(decays.d + chunk.count, decays.d + kSsdChunk, 0.0f);
  ssd_fill_decays(chunk.count, args.A(i), decays);
}

/// How many threads to use for so many items, each thread with so many floats of scratch.
inline int64_t ssd_workers(const Workspace& workspace, int64_t items, int64_t floats) {
  const size_t left = workspace.capacity() - workspace.used();
  const auto room =
      static_cast<int64_t>(left / Workspace::bytes_for<float>(std::max<int64_t>(floats, 1)));
  return std::clamp<int64_t>(std::min(items, room), 1, thread_count());
}

/// D of one head with adjacent numbers, in `scratch`.
inline const float* ssd_skip_row(const View<const float, 2>& D, int64_t i, int64_t head_dim,
                                 float* scratch) {
  if (D.absent()) return nullptr;
  for (int64_t p = 0; p < head_dim; ++p) scratch[p] = D(i, D.extent(1) == 1 ? 0 : p);
  return scratch;
}

}  // namespace longwave::ops
