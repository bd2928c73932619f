// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_warpgroup_memory_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// A thread that brings B, C and x of all heads and takes their outputs away.
template <typename T, int kStates, SsdMarch kMarch>
class WarpgroupMover {
 public:
  using Memory = WarpgroupMemory<kStates>;

  __device__ WarpgroupMover(const SsdWarpgroupLaunch<T>& launch, const WarpgroupPlace& place,
                            Memory& memory)
      : launch_(launch), place_(place), memory_(memory) {}

  __device__ void run() {
    for (int i = 0; i < kChunksAhead; ++i) {
      bring_rows(i);
      bring_signals(i);
    }
#pragma unroll 1
    for (int i = 0; i < place_.chunks; ++i) {
      for (int head = 0; head < place_.heads; ++head) {
        auto& signals = memory_.heads[head].signals;
        signals.await_room(i + kChunksAhead);
        if (kOutputs) gpu::store_tile(launch_.outputs, signal_place(head, i), signals.at(i));
      }
      gpu::close_bulk_stores();
      memory_.rows.await_room(i + kChunksAhead);
      bring_rows(i + kChunksAhead);
      gpu::await_bulk_reads();
      bring_signals(i + kChunksAhead);
    }
  }

 private:
  static constexpr bool kOutputs = kMarch == SsdMarch::kOutputs;

  // Where there is room.
  __device__ void bring_rows(int i) {
    if (i >= place_.chunks) return;
    auto& tiles = memory_.rows.at(i);
    gpu::TurnBarrier& full = memory_.rows.full_at(i);
    gpu::expect_bytes(full, static_cast<int>(kOutputs ? sizeof(tiles) : sizeof(tiles.B)));
    for (int part = 0; part < kStates / 64; ++part) {
      const gpu::TilePlace place{part * 64, place_.group, place_.first_step(i), place_.b};
      if (kOutputs) gpu::send_for_tile(launch_.reads, place, tiles.C[part], full);
      gpu::send_for_tile(launch_.rows, place, tiles.B[part], full);
    }
  }
  __device__ void bring_signals(int i) {
    if (i >= place_.chunks) return;
    for (int head = 0; head < place_.heads; ++head) {
      auto& signals = memory_.heads[head].signals;
      gpu::expect_bytes(signals.full_at(i), gpu::kTileBytes);
      gpu::send_for_tile(launch_.signals, signal_place(head, i), signals.at(i), signals.full_at(i));
    }
  }
  __device__ gpu::TilePlace signal_place(int head, int i) const {
    return {place_.column, place_.head + head, place_.first_step(i), place_.b};
  }

  const SsdWarpgroupLaunch<T>& launch_;
  const WarpgroupPlace& place_;
  Memory& memory_;
};

}  // namespace longwave::ops::ssd_cuda_kernels
