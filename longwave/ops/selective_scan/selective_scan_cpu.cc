// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/selective_scan/selective_scan_cpu.h"

#include "longwave/base/parallel.h"
#include "longwave/ops/selective_scan/selective_tiling.h"
#include "longwave/ops/simd/flush_subnormals.h"

namespace longwave::ops {
namespace {

// Neighbouring tiles that go through time together, fewer if threads would be left without work.
constexpr int64_t kTilesTogether = 4;
constexpr int64_t kTargetItems = 32;
// State steps that are worth waking another thread.
constexpr int64_t kGrain = 1 << 15;
// The same for a single step, where state and decay rates come from memory.
constexpr int64_t kStepGrain = 1 << 13;

int64_t grain(int64_t least, int64_t work) {
  return std::max<int64_t>(1, least / std::max<int64_t>(1, work));
}

SelectiveTiling forward_tiling(const SelectiveScanSize& size) {
  return {size, kTargetItems, kTilesTogether};
}

SelectiveScanSize size_of(const SelectiveScanArgs<float>& args) {
  return {args.in.u.extent(0), args.in.u.extent(2), args.in.B.extent(2), args.in.A.extent(1)};
}

void load_state(View<const float, 3> h, int64_t b, const SelectiveTiling::Tile& tile,
                const SelectiveTiling& tiling, float* panel) {
  std::fill_n(panel, tiling.panel(), 0.0f);
  for (int64_t c = 0; c < tile.channels; ++c) {
    for (int64_t n = 0; n < tiling.size().state; ++n) {
      panel[n * kTileLanes + c] = h(b, tile.first + c, n);
    }
  }
}

void store_state(const float* panel, int64_t b, const SelectiveTiling::Tile& tile,
                 View<float, 3> h) {
  for (int64_t c = 0; c < tile.channels; ++c) {
    for (int64_t n = 0; n < h.extent(2); ++n) h(b, tile.first + c, n) = panel[n * kTileLanes + c];
  }
}

void keep_state(const float* panel, int64_t b, int64_t chunk, const SelectiveTiling::Tile& tile,
                const View<float, 4>& states) {
  if (states.absent()) return;
  for (int64_t n = 0; n < states.extent(2); ++n) {
    for (int64_t c = 0; c < tile.channels; ++c) {
      states(b, chunk, n, tile.first + c) = panel[n * kTileLanes + c];
    }
  }
}

// Takes the tiles of an item through time, side by side.
void scan_item(const SelectiveScanArgs<float>& args, const SelectiveTiling& tiling,
               const SelectiveFactors& factors, const SelectiveTiling::Item& item, float* states) {
  const int64_t time = args.in.u.extent(1), chunk = selective_scan_chunk(tiling.size().state);
  for (int64_t i = 0; i < item.count; ++i) {
    load_state(args.h, item.b, tiling.tile(item.first + i), tiling, states + i * tiling.panel());
  }
  for (int64_t begin = 0; begin < time; begin += chunk) {
    const int64_t count = std::min(chunk, time - begin);
    for (int64_t i = 0; i < item.count; ++i) {
      const SelectiveTiling::Tile tile = tiling.tile(item.first + i);
      float* h = states + i * tiling.panel();
      keep_state(h, item.b, begin / chunk, tile, args.states);
      SelectiveForwardChunk forward{
          .in = tile_chunk(tiling, args.in,
                           {.b = item.b, .tile = item.first + i, .begin = begin, .time = count}),
          .h = h,
          .y = rows_of(args.y, item.b, begin, tile.first)};
      factors.put(item.first + i, forward.in);
      forward.in.soon = chunk;
      forward.in.soon_count = std::min(count, time - begin - count);
      selective_forward_chunk(forward);
    }
  }
  for (int64_t i = 0; i < item.count; ++i) {
    store_state(states + i * tiling.panel(), item.b, tiling.tile(item.first + i), args.h);
  }
}

// A number of each channel of a tile; zero where there are none.
void load_channels(const View<const float, 1>& all, const SelectiveTiling::Tile& tile, float* to) {
  if (all.absent() || tile.channels < kTileLanes) std::fill_n(to, kTileLanes, 0.0f);
  if (all.absent()) return;
  if (all.stride(0) == 1 && tile.channels == kTileLanes) {
    std::copy_n(all.data() + tile.first, kTileLanes, to);
    return;
  }
  for (int64_t c = 0; c < tile.channels; ++c) to[c] = all(tile.first + c);
}

}  // namespace

size_t selective_scan_cpu_bytes(const SelectiveScanSize& size) {
  const SelectiveTiling tiling = forward_tiling(size);
  return SelectiveFactors::bytes(tiling) +
         Workspace::bytes_for<float>(size.batch * tiling.tiles() * tiling.panel());
}

void selective_scan_cpu(const SelectiveScanArgs<float>& args, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const SelectiveScanSize size = size_of(args);
  const SelectiveTiling tiling = forward_tiling(size);
  const SelectiveFactors factors(tiling, args.in, workspace);
  float* states = workspace.take<float>(size.batch * tiling.tiles() * tiling.panel()).data();
  const int64_t work =
      args.in.u.extent(1) * tiling.panel() * std::max<int64_t>(1, tiling.longest_span());
  parallel_for(tiling.items(), grain(kGrain, work), [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t i = begin; i < end; ++i) {
      const SelectiveTiling::Item item = tiling.item(i);
      const int64_t first = item.b * tiling.tiles() + item.first;
      scan_item(args, tiling, factors, item, states + first * tiling.panel());
    }
  });
}

void selective_scan_step_cpu(const SelectiveScanArgs<float>& args) {
  const SelectiveScanSize size = size_of(args);
  const SelectiveTiling tiling(size, size.batch * size.groups * size.channels, 1);
  const SelectiveScanInputs<float>& in = args.in;
  parallel_for(tiling.items(), grain(kStepGrain, tiling.panel()), [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t i = begin; i < end; ++i) {
      const SelectiveTiling::Item item = tiling.item(i);
      const SelectiveTiling::Tile tile = tiling.tile(item.first);
      alignas(64) float D[kTileLanes], dt_bias[kTileLanes];
      load_channels(in.D, tile, D);
      load_channels(in.dt_bias, tile, dt_bias);
      SelectiveStep step;
      step.in = tile_chunk(tiling, in, {.b = item.b, .tile = item.first, .begin = 0, .time = 1});
      step.in.D = D;
      step.in.dt_bias = dt_bias;
      step.A = {in.A.data() + tile.first * in.A.stride(0), in.A.stride(0), in.A.stride(1)};
      step.h = {args.h.data() + item.b * args.h.stride(0) + tile.first * args.h.stride(1),
                args.h.stride(1), args.h.stride(2)};
      step.y = rows_of(args.y, item.b, 0, tile.first);
      selective_step(step);
    }
  });
}

}  // namespace longwave::ops
