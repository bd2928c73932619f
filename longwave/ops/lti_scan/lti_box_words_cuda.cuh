// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/box_copy_cuda.cuh"
#include "longwave/ops/cuda/warp_instructions_cuda.cuh"
#include "longwave/ops/lti_scan/lti_lines_cuda.cuh"

namespace longwave::ops::lti_cuda {

// Boxes of the copy engine, and the same numbers as words of two steps of a channel, which products
// want.

inline constexpr int kBoxChannels = static_cast<int>(kLtiBoxChannels);
inline constexpr int kBoxRow = kBoxChannels * 2;  // bytes
inline constexpr int kBoxPatch = 32;              // steps that a warp turns at once
inline constexpr int kHalfChannels = kBoxChannels / 2;

// Where a row's lower or upper channels lie in a box of one line, whose two halves of rows change
// places in every other four (CU_TENSOR_MAP_SWIZZLE_32B): eight rows of a half lie in different
// banks. Boxes begin at multiples of 256 bytes.
__device__ inline int box_byte(int row, int half) {
  return row * kBoxRow + (half ^ (row / 4 % 2)) * 16;
}

// The row of a patch whose place a lane gives to load_transposed_matrices or
// store_transposed_matrices. The matrices are the first eight steps of two chunks of 16, then the
// last eight: a lane's four words are those of a left factor (gpu::multiply_add) whose rows r and
// r + 8 are the chunks, as lane 4 r + lane % 4 has them, for channel lane / 4 of the half.
__device__ inline int patch_row() {
  const int lane = threadIdx.x % 32;
  return lane / 8 % 2 * 16 + lane / 16 * 8 + lane % 8;
}

// Boxes of a line, of so many steps each, from its first one on. Backwards the last step of a
// sequence is its first; in a box time always runs forwards.
struct BoxWalk {
  int channel, first, way, sequence;

  __device__ static BoxWalk of(const Lines& lines, const Line& line, int64_t channel, int steps,
                               bool backwards) {
    const auto sequence = static_cast<int>(line.length < 0 ? lines.batch : line.sequence);
    const auto begin = static_cast<int>(line.segment * lines.cut.steps);
    const int time = static_cast<int>(lines.time);
    return {static_cast<int>(channel), backwards ? time - begin - steps : begin,
            backwards ? -steps : steps, sequence};
  }
  __device__ gpu::BoxPlace at(int stage) const { return {channel, first + stage * way, sequence}; }
};

}  // namespace longwave::ops::lti_cuda
