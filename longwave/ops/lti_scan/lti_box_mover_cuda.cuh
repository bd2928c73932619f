// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_box_memory_cuda.cuh"

namespace longwave::ops::lti_cuda {

// A warp that brings first states and inputs of a line to shared memory and outputs to device
// memory, and makes words of inputs and rows of outputs.
template <int kModeTiles>
class BoxMover {
  using Memory = BoxScanMemory<kModeTiles>;
  static constexpr int kPatches = kBoxSteps / kBoxPatch;
  static constexpr int kPatchBytes = kBoxPatch * kBoxRow;
  static_assert(kPatches == kBoxTiles && kStageBoxes == kBoxPositions);

 public:
  __device__ BoxMover(const BoxScanLaunch& launch, Memory& memory, int stages)
      : launch_(launch), memory_(memory), stages_(stages), mover_(threadIdx.x / 32 - kBoxWarps) {
    const int row = patch_row(), lane = threadIdx.x % 32;
    row_ = box_byte(backwards() ? kBoxSteps - 1 - row : row, 0);
    piece_ = lane / 4 * kChannelPieces + (first_box() * kBoxLines + line()) * 4 + lane % 4;
  }

  // When all barriers are made; the block meets once meanwhile.
  __device__ void run() {
    const BlockPlace place(launch_.lines);
    const Line own = line_of(launch_.lines, place.first_line + line());
    if (threadIdx.x % 32 == 0) {
      memory_.walks[mover_] =
          BoxWalk::of(launch_.lines, own, place.first_channel, kBoxSteps, backwards());
      send(0);
    }
    __syncwarp();
    bring_first_states(own, place.first_channel);
    for (int stage = 0; stage < stages_ + 2; ++stage) {
      swap(stage);
      // What constants are made of lies where words of the second stage come.
      if (stage == 0) __syncthreads();
    }
  }

 private:
  __device__ int line() const { return mover_ % kBoxLines; }
  __device__ int first_box() const { return mover_ / kBoxLines * kMoverBoxes; }
  __device__ gpu::BoxPlace place_of(int stage, int box) const {
    return memory_.walks[mover_].at(stage * kStageBoxes + first_box() + box);
  }
  __device__ bool backwards() const { return launch_.system.direction == Direction::kAdjoint; }

  // The states of half of the channels before the line, neighbouring modes together.
  __device__ void bring_first_states(const Line& own, int64_t block_channel) const {
    constexpr int kModes = 4 * Memory::kTiles, kEach = kHalfChannels * kModes / 32;
    static_assert(kBoxMovers == 2 * kBoxLines);
    const int lane = threadIdx.x % 32, first_channel = mover_ / kBoxLines * kHalfChannels;
    float2 first[kEach];
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int state = i * 32 + lane;
      first[i] = first_state(own, block_channel + first_channel + state / kModes, state % kModes);
    }
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int state = i * 32 + lane, mode = state % kModes;
      memory_.carries[first_channel + state / kModes][mode / 4][line() * 4 + mode % 4] = first[i];
    }
  }
  __device__ float2 first_state(const Line& own, int64_t channel, int mode) const {
    if (own.length < 0 || channel >= launch_.lines.channels) return {0.0f, 0.0f};
    if (launch_.h.states != nullptr) {
      return launch_.h(0, own.sequence, own.segment * launch_.finer, channel, mode);
    }
    const bool given = !launch_.first.absent() && mode < launch_.first.extent(2);
    return given ? number(launch_.first(own.sequence, channel, mode)) : make_float2(0.0f, 0.0f);
  }

  // One lane: where no boxes wait.
  __device__ void send(int stage) {
    for (int box = 0; box < kMoverBoxes; ++box) {
      gpu::TurnBarrier& full = memory_.full[mover_][box];
      gpu::expect_bytes(full, kBoxBytes);
      gpu::send_for_box(launch_.u_boxes, place_of(stage, box), memory_.boxes[mover_][box], full);
    }
  }

  // Makes words of the inputs of a stage, in place of the outputs of the stage two before, which
  // leave; then boxes are free for the inputs of the next stage, or for outputs where none come.
  __device__ void swap(int stage) {
    const bool comes = stage < stages_, leaves = stage >= 2;
    if (leaves) gpu::await_turn(memory_.outputs_full[stage % 2], stage / 2 - 1);
#pragma unroll 1
    for (int box = 0; box < kMoverBoxes; ++box) {
      if (comes) gpu::await_turn(memory_.full[mover_][box], stage);
      uint4* const pieces = &memory_.words[stage % 2][0][0] + piece_ + box * kBoxLines * 4;
#pragma unroll
      for (int patch = 0; patch < kPatches; patch += 2) {
        swap(memory_.boxes[mover_][box], pieces, patch, comes, leaves);
      }
      gpu::show_to_async_proxy();
      __syncwarp();
      if (leaves) store(place_of(stage - 2, box), memory_.boxes[mover_][box]);
    }
    if (comes) gpu::arrive(memory_.words_full[stage % 2]);
    if (threadIdx.x % 32 == 0) {
      gpu::await_bulk_reads();
      if (stage + 1 < stages_) send(stage + 1);
    }
    __syncwarp();
  }

  // Two patches of a box, in halves of their channels.
  __device__ void swap(std::byte* box, uint4* pieces, int patch, bool comes, bool leaves) const {
    const auto row = [&](int i) {
      const int way = backwards() ? -kPatchBytes : kPatchBytes;
      return box + (row_ ^ (i % 2 * 16)) + (patch + i / 2) * way;
    };
    const auto piece = [&](int i) -> uint4& {
      return pieces[i % 2 * kHalfChannels * kChannelPieces + (patch + i / 2) * 32];
    };
    uint4 y[4];
    uint32_t u[4][4] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (comes) gpu::load_transposed_matrices(row(i), u[i]);
      if (leaves) y[i] = piece(i);
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (comes) piece(i) = make_uint4(u[i][0], u[i][1], u[i][2], u[i][3]);
      if (leaves) gpu::store_transposed_matrices(row(i), {y[i].x, y[i].y, y[i].z, y[i].w});
    }
  }

  // Outputs on their way.
  __device__ void store(const gpu::BoxPlace& at, const std::byte* box) const {
    if (at.step < 0) {
      write_rows(at, box);
    } else if (threadIdx.x % 32 == 0) {
      gpu::store_box(launch_.y_boxes, at, box);
      gpu::close_bulk_stores();
    }
  }

  // The copy engine does not write boxes that begin before the first step.
  __device__ void write_rows(const gpu::BoxPlace& at, const std::byte* box) const {
    const View<__nv_bfloat16, 3>& y = launch_.y;
    if (at.batch >= y.extent(0)) return;
#pragma unroll 1
    for (int row = threadIdx.x % 32; row < kBoxSteps; row += 32) {
      if (at.step + row < 0) continue;
#pragma unroll 1
      for (int c = 0; c < kBoxChannels && at.channel + c < y.extent(2); ++c) {
        const std::byte* const number =
            box + box_byte(row, c / kHalfChannels) + c % kHalfChannels * 2;
        y(at.batch, at.step + row, at.channel + c) =
            *reinterpret_cast<const __nv_bfloat16*>(number);
      }
    }
    __syncwarp();
  }

  const BoxScanLaunch& launch_;
  Memory& memory_;
  int stages_, mover_;
  int row_, piece_;  // where a lane finds a row of a box, and leaves its words
};

}  // namespace longwave::ops::lti_cuda
