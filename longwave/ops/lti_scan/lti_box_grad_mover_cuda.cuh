// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_box_grad_memory_cuda.cuh"

namespace longwave::ops::lti_cuda {

// A warp that brings a signal of half of a stage, of the block's channels, and that writes half of
// the cluster's channels of a line of outputs.
class BoxGradMover {
 public:
  __device__ BoxGradMover(const BoxGradLaunch& launch, BoxGradMemory& memory)
      : launch_(launch),
        memory_(memory),
        stages_(grad_stages(launch.lines)),
        part_(threadIdx.x / 32 % 2),
        role_(threadIdx.x / 32 / 2 % 2),
        rank_(static_cast<int>(gpu::cluster_rank())) {
    const BoxGradPlace place(launch.lines);
    channel_ = static_cast<int>(place.first_channel);
    first_line_ = static_cast<int>(place.first_line);
  }

  __device__ void run() {
    if (threadIdx.x % 32 == 0) {
      // Nobody else waits there.
      gpu::make_shown_turns(memory_.full[role_][part_], 1);
      send(0);
    }
    __syncwarp();
    gpu::await_cluster();
    for (int stage = 0; stage < stages_ + 2; ++stage) {
      if (stage >= 2) take(stage - 2);
      if (stage < stages_) bring(stage);
    }
    if (writes()) gpu::await_bulk_reads();
  }

 private:
  static_assert(kGradBlocks == 2 && kGradOwnLines == 2 && kGradBoxes == 2);
  static_assert(kGradMovers == 4 && kGradWarps % kGradMovers == 0);

  // Of a box. The last steps of a sequence come first.
  __device__ int first_step(int stage, int part) const {
    return (stages_ - 1 - stage) * kGradStage + part * kGradBox;
  }
  // Of outputs of one of the block's lines.
  __device__ gpu::BoxPlace place_of(int stage, int line, int part) const {
    // Behind the last sequence there are zeros.
    const int sequence =
        min(first_line_ + rank_ * kGradOwnLines + line, static_cast<int>(launch_.lines.batch));
    return {channel_, first_step(stage, part), sequence};
  }
  // One lane: where no boxes wait.
  __device__ void send(int stage) {
    if (stage >= stages_) return;
    gpu::TurnBarrier& full = memory_.full[role_][part_];
    gpu::expect_bytes(full, sizeof(memory_.boxes[role_][part_]));
    gpu::send_for_box(role_ == 0 ? launch_.u_boxes : launch_.dy_boxes,
                      {channel_ + rank_ * kGradChannels, first_step(stage, part_), first_line_},
                      memory_.boxes[role_][part_], full);
  }

  using Words = uint32_t[kGradPieces][4];

  // Words of two chunks of two lines: lane 4 g + q has those of channel g of line q / 2 and chunk
  // q % 2. Of matrix m rows 2 q and one further are steps 2 ((m + q) % 4) and one further of a
  // piece, so that the eight rows lie in different banks.
  __device__ void load_words(int chunks, int lines, Words& words) const {
    const int matrix = threadIdx.x % 32 / 8, q = threadIdx.x % 8 / 2;
    const int first = 2 * ((matrix + q) % 4) + threadIdx.x % 2;
#pragma unroll
    for (int piece = 0; piece < kGradPieces; ++piece) {
      const int step = 8 * piece + first;
      const int row =
          (2 * chunks + q % 2) * kGradChunk + (role_ == 0 ? kGradChunk - 1 - step : step);
      gpu::load_transposed_matrices(memory_.boxes[role_][part_][2 * lines + q / 2][row],
                                    words[piece]);
    }
#pragma unroll
    for (int piece = 0; piece < kGradPieces; ++piece) put_in_order(words[piece]);
  }

  // The lane's eight steps in their order.
  __device__ static void put_in_order(uint32_t (&words)[4]) {
    const auto turn = [&](int by) {
      if ((threadIdx.x & by) == 0) return;
      const uint32_t old[4] = {words[0], words[1], words[2], words[3]};
#pragma unroll
      for (int i = 0; i < 4; ++i) words[i] = old[(i + 4 - by) % 4];
    };
    turn(1);
    turn(2);
  }

  // Words of a stage, where those of two stages before were used.
  __device__ void bring(int stage) {
    const int slot = stage % 2, g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
    if (threadIdx.x == kGradWarps * 32) {
      // Outputs of the other block's channels.
      gpu::expect_bytes(memory_.outputs_full[slot], kGradChannels * kGradOwnLines * kGradStage * 2);
    }
    gpu::await_turn(memory_.full[role_][part_], stage);
    std::byte* const to =
        memory_.words[slot][g] + role_ * kGradSignal + part_ * (kGradSignal / kGradBoxes) + q * 16;
    static_assert(kGradLines == 4);
#pragma unroll 1
    for (int i = 0; i < kGradChunks / kGradBoxes; ++i) {
      const int chunks = i / 2, lines = i % 2;
      Words words;
      load_words(chunks, lines, words);
#pragma unroll
      for (int piece = 0; piece < kGradPieces; ++piece) {
        const auto& four = words[piece];
        *reinterpret_cast<uint4*>(to + chunks * kGradPiece + lines * (kGradPiece / 2) +
                                  piece * kGradAlong) =
            make_uint4(four[0], four[1], four[2], four[3]);
      }
    }
    gpu::arrive(memory_.words_full[slot]);
    __syncwarp();
    if (threadIdx.x % 32 == 0) send(stage + 1);
    __syncwarp();
  }

  // Outputs of a stage, turned into boxes where they lie.
  __device__ void take(int stage) {
    const int step = threadIdx.x % 32, half = role_, line = part_;
    const int barrier = kGradLineMeeting + line;
    std::byte* const box = memory_.outputs[stage % 2][line][0];
    gpu::await_turn(memory_.outputs_full[stage % 2], stage / 2);
    constexpr int kPairs = kGradChannels / 2;
    uint4 chunks[kPairs][2];
#pragma unroll
    for (int pair = 0; pair < kPairs; ++pair) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        chunks[pair][i] =
            *reinterpret_cast<const uint4*>(box + output_byte(line, half * kPairs + pair, step, i));
      }
    }
    gpu::meet_at(barrier, 64);
#pragma unroll
    for (int chunk = 0; chunk < kGradChunks; ++chunk) {
      const auto of = [&](int pair) {
        const uint4& four = chunks[pair][chunk / 4];
        const uint32_t words[4] = {four.x, four.y, four.z, four.w};
        return words[chunk % 4];
      };
      *reinterpret_cast<uint4*>(box + box_byte(chunk * kGradChunk + kGradChunk - 1 - step, half)) =
          make_uint4(of(0), of(1), of(2), of(3));
    }
    gpu::show_to_async_proxy();
    gpu::meet_at(barrier, 64);
    if (!writes()) return;
    // Those of the stage before have left meanwhile. Nobody waits for those of the last two.
    if (stage > 0 && stage + 1 < stages_) {
      gpu::await_bulk_reads();
      for (int block = 0; block < kGradBlocks; ++block) {
        gpu::arrive_in_cluster(memory_.outputs_left[(stage - 1) % 2], block);
      }
    }
    for (int part = 0; part < kGradBoxes; ++part) {
      gpu::store_box(launch_.du_boxes, place_of(stage, line, part),
                     memory_.outputs[stage % 2][line][part]);
    }
    gpu::close_bulk_stores();
  }

  // The lane that hands a line's outputs to the copy engine.
  __device__ bool writes() const { return role_ == 0 && threadIdx.x % 32 == 0; }

  const BoxGradLaunch& launch_;
  BoxGradMemory& memory_;
  int stages_;
  int part_;  // of a stage, which it brings, and the line that it writes
  int role_;  // which signal it brings, and which half of the channels it writes
  int rank_, channel_, first_line_;
};

}  // namespace longwave::ops::lti_cuda
