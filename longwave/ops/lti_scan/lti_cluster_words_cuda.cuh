// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_cluster_memory_cuda.cuh"

namespace longwave::ops::lti_cuda {

// Which two rows of a box a thread turns into words, or words into rows. Those of a quarter of a
// warp begin in different banks.
struct RowPair {
  int first, second;  // rows
  bool swapped;       // whether `first` comes later
  int chunk, word;    // where they go

  // Pair `index` of the box; scans go through it from the end if `backwards`.
  __device__ static RowPair of(int index, bool backwards) {
    const int turn = index / 4 % 2;
    const int pair = backwards ? kTilePairs - 1 - index : index;
    const bool late = (turn != 0) != backwards;
    return {2 * index + turn, 2 * index + 1 - turn, late, pair / 16, pair % 16};
  }
};

// Brings tiles to the cluster, and makes words of them.
template <int kModeTiles>
__device__ void make_words(const ClusterScanLaunch& launch, ClusterScanMemory<kModeTiles>& memory,
                           uint32_t stages) {
  using Memory = ClusterScanMemory<kModeTiles>;
  const int thread = threadIdx.x % kGroupThreads, rank = static_cast<int>(gpu::cluster_rank());
  BoxWalk walks[kOwnLines];
  ClusterWork::of(launch).walk(launch.backwards, rank, walks);
  const auto send = [&](uint32_t stage) {
    if (thread != 0 || stage >= stages) return;
    memory.ring.open(stage);
    memory.ring.send(launch.u_boxes, walks, stage, memory.tiles, rank);
  };
#pragma unroll 1
  for (uint32_t stage = 0; stage < Memory::kTileSlots; ++stage) send(stage);
  // A warp writes to all banks: eight words of both chunks, of two lines.
  const int index = thread % 8 + thread / 8 % 2 * 16 + thread / 64 * 8;
  const int first_line = thread / 16 % 4;
  const RowPair rows = RowPair::of(index, launch.backwards);
  const int step = rows.word / 8, place = rows.word % 4 * 4 + rows.word % 8 / 4 * 2 + rows.chunk;
  for (uint32_t stage = 0; stage < stages; ++stage) {
    const std::byte* const tile = memory.ring.tile(memory.tiles, stage);
    memory.ring.await(stage);
    uint2 firsts[2], seconds[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      firsts[i] = block_channels(tile, first_line + 4 * i, rows.first, rank);
      seconds[i] = block_channels(tile, first_line + 4 * i, rows.second, rank);
    }
    memory.ring.release(stage);
    await_place(memory.words_empty, stage);
    uint32_t* const words =
        reinterpret_cast<uint32_t*>(memory.words[stage % Memory::kWordSlots]) + place;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int part = 0; part < kBlockChannels; ++part) {
        words[((part * 2 + step) * kClusterLines + first_line + 4 * i) * 16] =
            word_of_rows(firsts[i], seconds[i], part, rows.swapped);
      }
    }
    gpu::arrive_as_warp(memory.words_full[stage % Memory::kWordSlots]);
    // By now all blocks will have read the tile before.
    if (stage > 0) send(stage - 1 + Memory::kTileSlots);
  }
}

// Two rows of a box that begins before the first step, eight channels of them.
__device__ inline void write_rows(const View<__nv_bfloat16, 3>& y, const gpu::BoxPlace& at,
                                  const std::byte* box, int pair, int half) {
  if (at.step >= 0 || at.batch >= y.extent(0)) return;
  const int channels = static_cast<int>(y.extent(2)) - at.channel - half * 8;
  for (int row = 2 * pair; row < 2 * pair + 2; ++row) {
    const auto* const numbers = reinterpret_cast<const __nv_bfloat16*>(box + box_byte(row, half));
    for (int i = 0; at.step + row >= 0 && i < min(8, channels); ++i) {
      y(at.batch, at.step + row, at.channel + half * 8 + i) = numbers[i];
    }
  }
}

// Makes boxes of words, and brings them to device memory.
template <int kModeTiles>
__device__ void write_boxes(const ClusterScanLaunch& launch, ClusterScanMemory<kModeTiles>& memory,
                            uint32_t stages) {
  using Memory = ClusterScanMemory<kModeTiles>;
  const int thread = threadIdx.x % kGroupThreads, rank = static_cast<int>(gpu::cluster_rank());
  BoxWalk walks[kOwnLines];
  ClusterWork::of(launch).walk(launch.backwards, rank, walks);
  const int index = thread % 16 + thread / 64 * 16, line = thread / 16 % 2;
  const int half = thread / 32 % 2;
  const RowPair rows = RowPair::of(index, launch.backwards);
  // A lane's words of a chunk lie side by side: 0, 4, 8 and 12 from its own.
  const int word =
      ((half * 8 * 2 + rows.chunk) * kOwnLines + line) * 16 + rows.word % 4 * 4 + rows.word / 4;
  const bool leads = thread == 32;
  for (uint32_t stage = 0; stage < stages; ++stage) {
    const uint32_t slot = stage % Memory::kOutputSlots;
    gpu::await_turn(memory.outputs_full[slot], stage / Memory::kOutputSlots);
    const uint32_t* const words = reinterpret_cast<const uint32_t*>(memory.outputs[slot]) + word;
    uint32_t pairs[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) pairs[i] = words[i * 2 * kOwnLines * 16];
    if (leads) gpu::await_bulk_reads<Memory::kBoxSlots - 1>();
    synchronize_threads<kGroupThreads>(1);
    if (leads) gpu::expect_bytes(memory.outputs_full[slot], sizeof(memory.outputs[slot]));
    if (thread < kClusterBlocks) gpu::arrive_in_block(memory.outputs_empty[slot], thread);
    auto& boxes = memory.boxes[stage % Memory::kBoxSlots];
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      const bool upper = (s == 1) != rows.swapped;
      const uint32_t select = upper ? 0x7632 : 0x5410;
      uint32_t row[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) row[i] = __byte_perm(pairs[2 * i], pairs[2 * i + 1], select);
      *reinterpret_cast<uint4*>(boxes[line] + box_byte(s == 0 ? rows.first : rows.second, half)) =
          make_uint4(row[0], row[1], row[2], row[3]);
    }
    gpu::show_to_async_proxy();
    synchronize_threads<kGroupThreads>(1);
    if (leads) {
#pragma unroll
      for (int i = 0; i < kOwnLines; ++i) {
        const gpu::BoxPlace at = walks[i].at(stage);
        if (at.step >= 0) gpu::store_box(launch.y_boxes, at, boxes[i]);
      }
      gpu::close_bulk_stores();
    }
    // The copy engine does not write boxes that begin before the first step.
    if (walks[0].at(stage).step < 0 || walks[1].at(stage).step < 0) {
      const gpu::BoxPlace at = line == 0 ? walks[0].at(stage) : walks[1].at(stage);
      write_rows(launch.y, at, boxes[line], index, half);
    }
  }
  if (leads) gpu::await_bulk_reads();
}

}  // namespace longwave::ops::lti_cuda
