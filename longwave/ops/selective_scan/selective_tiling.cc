// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_tiling.h"

namespace longwave::ops {

size_t SelectiveFactors::bytes(const SelectiveTiling& tiling) {
  return Workspace::bytes_for<float>(tiling.tiles() * tiling.panel()) +
         2 * Workspace::bytes_for<float>(tiling.tiles() * kTileLanes);
}

SelectiveFactors::SelectiveFactors(const SelectiveTiling& tiling,
                                   const SelectiveScanInputs<float>& in, Workspace& workspace)
    : panel_(tiling.panel()),
      A_(workspace.take<float>(tiling.tiles() * tiling.panel()).data()),
      D_(workspace.take<float>(tiling.tiles() * kTileLanes).data()),
      dt_bias_(workspace.take<float>(tiling.tiles() * kTileLanes).data()) {
  constexpr double kOverLn2 = 1.4426950408889634;
  std::fill_n(A_, tiling.tiles() * panel_, 0.0f);
  std::fill_n(D_, tiling.tiles() * kTileLanes, 0.0f);
  std::fill_n(dt_bias_, tiling.tiles() * kTileLanes, 0.0f);
  for (int64_t i = 0; i < tiling.tiles(); ++i) {
    const SelectiveTiling::Tile tile = tiling.tile(i);
    for (int64_t c = 0; c < tile.channels; ++c) {
      float* A = A_ + i * panel_ + c;
      for (int64_t n = 0; n < tiling.size().state; ++n) {
        A[n * kTileLanes] = static_cast<float>(kOverLn2 * in.A(tile.first + c, n));
      }
      if (!in.D.absent()) D_[i * kTileLanes + c] = in.D(tile.first + c);
      if (!in.dt_bias.absent()) dt_bias_[i * kTileLanes + c] = in.dt_bias(tile.first + c);
    }
  }
}

void SelectiveFactors::put(int64_t tile, SelectiveChunk& chunk) const {
  chunk.A = A_ + tile * panel_;
  chunk.D = D_ + tile * kTileLanes;
  chunk.dt_bias = dt_bias_ + tile * kTileLanes;
}

SelectiveChunk tile_chunk(const SelectiveTiling& tiling, const SelectiveScanInputs<float>& in,
                          const SelectivePlace& place) {
  const SelectiveTiling::Tile tile = tiling.tile(place.tile);
  const auto states = [&](const View<const float, 4>& view) {
    return StepRows<const float>{view.data() + place.b * view.stride(0) +
                                     place.begin * view.stride(1) + tile.group * view.stride(2),
                                 view.stride(1), view.stride(3)};
  };
  SelectiveChunk chunk;
  chunk.step_size = in.step_size;
  chunk.time = place.time;
  chunk.channels = tile.channels;
  chunk.state = tiling.size().state;
  chunk.u = rows_of(in.u, place.b, place.begin, tile.first);
  chunk.dt = rows_of(in.dt, place.b, place.begin, tile.first);
  chunk.z = rows_of(in.z, place.b, place.begin, tile.first);
  chunk.B = states(in.B);
  chunk.C = states(in.C);
  if (!in.starts.absent()) {
    chunk.starts = {
        in.starts.data() + place.b * in.starts.stride(0) + place.begin * in.starts.stride(1),
        in.starts.stride(1), 1};
  }
  return chunk;
}

}  // namespace longwave::ops
