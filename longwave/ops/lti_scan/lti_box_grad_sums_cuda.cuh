// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_box_grad_factors_cuda.cuh"

namespace longwave::ops::lti_cuda {

// A lane's part of the products of dy and u within chunks of a channel, by how many steps lie
// between them: lane 4 g + q has in part i those of 8 i - 15 + g + 2 q steps, of one more, and of 8
// more than these.
struct GradLags {
  float of[4][4] = {};

  // Adds a stage's products of 16 steps of dy and 8 of u, of those tiles that have such lags.
  __device__ void add(const std::byte* dy, const std::byte* u) {
    const int matrix = lane_matrix(), row = threadIdx.x % 8 * 16;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t outputs[2][4];
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        gpu::load_transposed_matrices(
            dy + (2 * half + matrix % 2) * kGradAlong + (2 * k + matrix / 2) * kGradPiece + row,
            outputs[k]);
      }
#pragma unroll
      for (int tile = half == 0 ? 2 : 0; tile < 4; ++tile) {
        uint32_t inputs[4];
        gpu::load_transposed_matrices(u + tile * kGradAlong + matrix * kGradPiece + row, inputs);
        float sum[4] = {};
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          gpu::multiply_add(__nv_bfloat16(), outputs[k], {inputs[2 * k], inputs[2 * k + 1]}, sum);
        }
        // Tensor cores round sums down, so that long ones are not left to them.
#pragma unroll
        for (int i = 0; i < 4; ++i) of[tile - (half == 0 ? 2 : 0)][i] += sum[i];
      }
      __syncwarp();
    }
  }
};

// A warp that adds up the products within chunks of two of the block's channels.
class BoxGradLags {
 public:
  __device__ BoxGradLags(const BoxGradLaunch& launch, BoxGradMemory& memory)
      : launch_(launch), memory_(memory) {}

  __device__ void run() {
    const int stages = grad_stages(launch_.lines);
#pragma unroll 1
    for (int stage = 0; stage < stages; ++stage) {
      const int slot = stage % 2;
      gpu::await_turn(memory_.words_full[slot], stage / 2);
#pragma unroll
      for (int i = 0; i < kChannels; ++i) {
        const std::byte* const u = memory_.words[slot][own(i)];
        lags_[i].add(u + kGradSignal, u);
      }
      gpu::arrive(memory_.outputs_full[slot]);
    }
    const BoxGradPlace place(launch_.lines);
#pragma unroll
    for (int i = 0; i < kChannels; ++i) {
      if (place.channel(own(i)) >= launch_.lines.channels) return;
      launch_.parts.lag(place.first_line / kGradLines, place.channel(own(i)), threadIdx.x % 32) =
          sum(lags_[i]);
    }
  }

 private:
  static constexpr int kChannels = kGradChannels / kGradLagWarps;

  __device__ static int own(int i) { return grad_warp() * kChannels + i; }

  // Over the warp, for the lag that is the lane's number.
  __device__ static float sum(const GradLags& lags) {
    float sum = 0.0f;
#pragma unroll
    for (int part = 0; part < 4; ++part) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int left = threadIdx.x % 32 + 15 - 8 * part - i % 2 - i / 2 * 8;
#pragma unroll
        for (int q = 0; q < 4; ++q) {
          const int g = left - 2 * q;
          const float there = __shfl_sync(0xffffffffu, lags.of[part][i], 4 * (g & 7) + q);
          if (g >= 0 && g < 8) sum += there;
        }
      }
    }
    return sum;
  }

  const BoxGradLaunch& launch_;
  BoxGradMemory& memory_;
  GradLags lags_[kChannels];
};

// What a lane has of its mode in a line of a channel.
struct GradMarch {
  // The adjoint state at the next boundary, and a / 32 times its derivative.
  float2 p = {}, slope = {};
  float2 near = {}, far = {};

  // What is done with it at the end, which all channels of a warp load first.
  struct End {
    BoxGradMode mode;
    float2 h0;
    bool there, has_line;

    __device__ End(const BoxGradLaunch& launch, int64_t channel, int64_t line)
        : mode(launch, channel, lane_mode()),
          h0(make_float2(0.0f, 0.0f)),
          there(channel < launch.lines.channels && lane_mode() < launch.a.extent(1)),
          has_line(there && line < launch.lines.batch) {
      if (has_line) h0 = number(launch.h0(line, channel, lane_mode()));
    }
  };

  __device__ void write(const BoxGradLaunch& launch, int64_t lines, int64_t channel, int64_t line,
                        const End& end) const {
    const float2 all_near = over_lanes<1, kGradLines>(times_plus(p, end.h0, near));
    const float2 all_far = over_lanes<1, kGradLines>(times_plus(slope, end.h0, far));
    if (end.has_line) {
      const float2 dh0 = times(times(end.mode.c, end.mode.a), p);
      launch.dh0(line, channel, lane_mode()) = {dh0.x, -dh0.y};
    }
    if (!end.there || threadIdx.x % 4 != 0) return;
    launch.parts.state(lines, channel, 0, lane_mode()) = times(end.mode.a, all_near);
    launch.parts.state(lines, channel, 1, lane_mode()) = make_float2(
        fmaf(kGradChunk, all_far.x, all_near.x), fmaf(kGradChunk, all_far.y, all_near.y));
  }
};

}  // namespace longwave::ops::lti_cuda
