// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/lti_scan/lti_box_grad_memory_cuda.cuh"
#include "longwave/ops/lti_scan/lti_factors_cuda.cuh"

namespace longwave::ops::lti_cuda {

// A pole and its gain, or zeros for what is not there.
struct BoxGradMode {
  float2 a = {0.0f, 0.0f}, c = {0.0f, 0.0f};

  __device__ BoxGradMode(const BoxGradLaunch& launch, int64_t channel, int64_t mode) {
    if (channel >= launch.lines.channels || mode >= launch.a.extent(1)) return;
    a = number(launch.a(channel, mode));
    c = number(launch.c(channel, mode));
  }
};

// Makes the constants of a channel, a warp for each of them.
__device__ inline void make_grad_factors(const BoxGradLaunch& launch, BoxGradMemory& memory) {
  static_assert(kGradWarps == kGradChannels);
  const int own = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t channel = BoxGradPlace(launch.lines).channel(own);
  const BoxGradMode mode(launch, channel, lane);
  double2 power = make_double2(1.0, 0.0);
  float responses[kGradChunk];
#pragma unroll
  for (int piece = 0; piece < kGradPieces; ++piece) {
    // Of eight powers, by part and by whether they are imaginary.
    uint32_t pairs[2][2][4];
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {
      float2 two[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        two[i] = rounded(power);
        power = times(power, wide(mode.a));
        responses[8 * piece + 2 * pair + i] = fmaf(mode.c.x, two[i].x, -mode.c.y * two[i].y);
      }
      const gpu::SplitPair real = gpu::split(two[0].x, two[1].x);
      const gpu::SplitPair imaginary = gpu::split(two[0].y, two[1].y);
      pairs[0][0][pair] = real.high;
      pairs[1][0][pair] = real.low;
      pairs[0][1][pair] = imaginary.high;
      pairs[1][1][pair] = imaginary.low;
    }
#pragma unroll
    for (int part = 0; part < 2; ++part) {
#pragma unroll
      for (int imaginary = 0; imaginary < 2; ++imaginary) {
        const auto& four = pairs[part][imaginary];
        std::byte* const to = memory.powers[own][lane / 8 * 2 + imaginary][piece][part];
        *reinterpret_cast<uint4*>(to + lane % 8 * 16) =
            make_uint4(four[0], four[1], four[2], four[3]);
      }
    }
  }
  const float2 hop = rounded(power), gain = times(mode.c, mode.a);
  memory.hops[own][lane] = make_float4(hop.x, hop.y, gain.x, gain.y);
  // The lane's is that of as many steps before as its number.
  static_assert(kGradChunk == 32);
  gpu::add_lanes<kGradChunk, 16, 1>(responses);
  float response = responses[0];
  const bool skips = lane == 0 && channel < launch.lines.channels && !launch.d.absent();
  if (skips) response += launch.d(channel);
  for (int first = 0; first < kGradResponses; first += 32) {
    const int lag = first + lane - (kGradChunk - 1);
    const auto at = [&](int l) {
      const float there = __shfl_sync(0xffffffffu, response, l & 31);
      return l >= 0 && l < kGradChunk ? there : 0.0f;
    };
    const float one = at(lag), next = at(lag + 1);
    const gpu::SplitPair both = gpu::split(one, next);
    memory.responses[own][first + lane] = make_uint2(both.high, both.low);
  }
}

}  // namespace longwave::ops::lti_cuda
