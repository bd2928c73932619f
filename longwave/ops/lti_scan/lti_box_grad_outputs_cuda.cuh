// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_box_grad_memory_cuda.cuh"

namespace longwave::ops::lti_cuda {

// Outputs of a stage of a channel, counted backwards within chunks: those of 8 steps are of a warp,
// with rows 0 to 7 from the high parts of constants and rows 8 to 15 from the low ones, and lane
// 4 g + q has step g of line q.
class GradOutputs {
 public:
  // Begins products of responses of later steps to dy, in a group that the caller closes. Output n
  // has response k + n - 31 to step k.
  __device__ void begin(const BoxGradMemory& memory, int own, uint64_t dy) {
    const uint2* const responses =
        &memory.responses[own][8 * grad_warp() + threadIdx.x % 32 / 4 + threadIdx.x % 4 * 2];
    uint32_t factors[kGradChunk / 16][4];
#pragma unroll
    for (int k = 0; k < kGradChunk / 16; ++k) {
      const uint2 near = responses[16 * k], far = responses[16 * k + 8];
      factors[k][0] = near.x;
      factors[k][1] = near.y;
      factors[k][2] = far.x;
      factors[k][3] = far.y;
    }
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < kGradChunk / 16; ++k) {
      gpu::multiply(factors[k], gpu::further(dy, 2 * k * kGradAlong),
                    k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, sum_);
    }
  }

  // Goes on with what the states behind chunks give, and closes the group.
  __device__ void read_out(uint64_t powers, uint64_t states) {
    gpu::begin_products();
#pragma unroll
    for (int k = 0; k < kGradStates; k += 2) {
      gpu::multiply_across(gpu::further(powers, k * kGradPowers),
                           gpu::further(states, k * kGradSignal), gpu::Sum::kMore, sum_);
    }
    gpu::close_products();
  }

  // What await_products must wait for.
  __device__ auto& products() { return sum_; }

  // Of the lane's step and line, by chunks.
  __device__ void finish(float (&y)[kGradChunks]) const {
#pragma unroll
    for (int chunk = 0; chunk < kGradChunks; ++chunk) {
      y[chunk] = sum_[chunk / 2][chunk % 2] + sum_[chunk / 2][chunk % 2 + 2];
    }
  }

  // Outputs of two channels.
  using Pairs = uint32_t[2][kGradChunks / 2];
  __device__ static void pack(const float (&y)[2][kGradChunks], Pairs& pairs) {
#pragma unroll
    for (int i = 0; i < kGradChunks; ++i) pairs[i / 4][i % 4] = gpu::halves(y[0][i], y[1][i]);
  }

  // Brings them to the blocks whose lines these are.
  __device__ static void send(BoxGradMemory& memory, int own, int slot, const Pairs& pairs) {
    static_assert(kGradOwnLines == 2);
    const int step = 8 * grad_warp() + threadIdx.x % 32 / 4, line = threadIdx.x % 4;
    const int rank = static_cast<int>(gpu::cluster_rank());
    const bool stays = line / kGradOwnLines == rank;
    // With the lane whose line is of the other block it changes a half, so that each has one that
    // stays and one that goes.
    const int half = stays ? 1 : 0;
    uint32_t here[4], there[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t kept = stays ? pairs[1][i] : pairs[0][i];
      const uint32_t got =
          __shfl_xor_sync(0xffffffffu, stays ? pairs[0][i] : pairs[1][i], kGradOwnLines);
      here[i] = stays ? kept : got;
      there[i] = stays ? got : kept;
    }
    const int pair = (rank * kGradChannels + own) / 2;
    const int own_line = line % kGradOwnLines;
    std::byte* const at =
        memory.outputs[slot][own_line][0] + output_byte(own_line, pair, step, half);
    *reinterpret_cast<uint4*>(at) = make_uint4(here[0], here[1], here[2], here[3]);
    gpu::send_to_block(gpu::address_in_block(at, rank ^ 1), there,
                       gpu::address_in_block(&memory.outputs_full[slot], rank ^ 1));
  }

 private:
  float sum_[kGradTiles][4];
};

}  // namespace longwave::ops::lti_cuda
