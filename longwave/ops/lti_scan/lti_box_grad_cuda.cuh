// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/cuda/early_begin_cuda.cuh"
#include "longwave/ops/lti_scan/lti_box_grad_mover_cuda.cuh"
#include "longwave/ops/lti_scan/lti_box_grad_outputs_cuda.cuh"
#include "longwave/ops/lti_scan/lti_box_grad_sums_cuda.cuh"

namespace longwave::ops::lti_cuda {

// A warp that sees to 8 modes of the channels of its group, with the three others of it.
class BoxGrad {
 public:
  __device__ BoxGrad(const BoxGradLaunch& launch, BoxGradMemory& memory)
      : launch_(launch),
        memory_(memory),
        group_(grad_group()),
        powers_(gpu::plain_factor(memory.powers[own(0)], kGradPowers, kGradPiece)),
        states_(gpu::plain_factor(memory.states[group_], kGradSignal, kGradPiece)) {}

  __device__ void run() {
    const int stages = grad_stages(launch_.lines);
    Sums sums;
    // Where one object serves all channels, ptxas of CUDA 13.0 takes outputs of the next channel
    // for those of the one before.
    GradOutputs two[2];
    if (stages > 0) {
      begin_stage(0, sums, two[0]);
      gpu::await_products<0>(sums.plain, sums.slope, two[0].products());
    }
#pragma unroll 1
    for (int stage = 0; stage < stages; ++stage) {
      go(stage, min(stage + 1, stages - 1), sums, two);
    }
    write();
  }

 private:
  static constexpr int kHalves = kGradChunk / 16;  // of a chunk, in products

  // A part of the powers of the warp's modes.
  using Powers = gpu::LeftFactor<__nv_bfloat16>[kHalves];
  // Sums over chunks, for each of the lane's columns: of u, then of dy.
  using Tiles = float[2 * kGradTiles][4];
  struct Sums {
    Tiles plain, slope;
  };

  // Through a stage, whose first channel was begun; begins the next one, or this one again where it
  // is the last. Products of the next channel, and those that give outputs, run while a channel is
  // marched through, and powers for the former are on their way.
  __device__ void go(int stage, int next_stage, Sums& sums, GradOutputs (&two)[2]) {
    static_assert(kGroupChannels == 4);
    const uint64_t words = words_of(stage);
    float y[2][kGradChunks];
    GradOutputs::Pairs pairs;
#pragma unroll
    for (int c = 0; c < kGroupChannels; ++c) {
      GradOutputs &outputs = two[c % 2], &before = two[(c + 1) % 2];
      const bool last = c + 1 == kGroupChannels;
      if (!last) load_powers(own(c + 1));
      march(c, sums);
      if (c > 0) {
        gpu::await_products<0>(before.products());
        before.finish(y[(c + 1) % 2]);
      }
      if (c == 2) GradOutputs::pack(y, pairs);
      if (c == 3) send(0, stage, pairs);
      if (!last) begin(c + 1, words, sums, before);
      // States of this channel are there, and those of the one before were used.
      gpu::meet_at(kGradGroupMeeting + group_, gpu::kWarpgroup);
      outputs.read_out(gpu::further(powers_, c * kGradStates * kGradPowers),
                       gpu::further(states_, c % 2 * kGradStates * kGradSignal));
      // But not for outputs.
      if (!last) gpu::await_products<1>(sums.plain, sums.slope);
    }
    begin_stage(next_stage, sums, two[0]);
    gpu::await_products<1>(two[1].products());
    two[1].finish(y[1]);
    GradOutputs::pack(y, pairs);
    send(2, stage, pairs);
    gpu::arrive(memory_.outputs_full[stage % 2]);
    gpu::await_products<0>(sums.plain, sums.slope, two[0].products());
  }

  __device__ void load_powers(int own) {
    load_powers(own, 0, high_);
    load_powers(own, 1, low_);
  }
  __device__ void load_powers(int own, int part, Powers& to) const {
    const int matrix = lane_matrix();
#pragma unroll
    for (int k = 0; k < kHalves; ++k) {
      uint32_t pairs[4];
      gpu::load_matrices(
          row_of(memory_.powers[own][2 * grad_warp() + matrix % 2][2 * k + matrix / 2][part]),
          pairs);
#pragma unroll
      for (int i = 0; i < 4; ++i) to[k].pairs[i].bits = pairs[i];
    }
  }

  __device__ uint64_t words_of(int stage) const {
    return gpu::plain_factor(memory_.words[stage % 2][own(0)], kGradAlong, kGradPiece);
  }
  __device__ void begin_stage(int stage, Sums& sums, GradOutputs& outputs) {
    gpu::await_turn(memory_.words_full[stage % 2], stage / 2);
    gpu::show_to_async_proxy();
    load_powers(own(0));
    begin(0, words_of(stage), sums, outputs);
  }

  // Outputs of two channels leave together, when those of two stages before have left.
  __device__ void send(int c, int stage, const GradOutputs::Pairs& pairs) {
    if (c == 0 && stage >= 2) gpu::await_turn(memory_.outputs_left[stage % 2], stage / 2 - 1);
    GradOutputs::send(memory_, own(c), stage % 2, pairs);
  }

  // Begins a stage of a channel: the products that its march wants, and those of outputs that do
  // not depend on states.
  __device__ void begin(int c, uint64_t words, Sums& sums, GradOutputs& outputs) {
    Powers high_slopes, low_slopes;
#pragma unroll
    for (int k = 0; k < kHalves; ++k) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        // i / 32 of the lane's steps, exactly.
        const int step = 16 * k + i / 2 * 8 + threadIdx.x % 4 * 2;
        const gpu::SplitPair scaled =
            gpu::times({high_[k].pairs[i].bits, low_[k].pairs[i].bits},
                       gpu::halves(step * (1.0f / kGradChunk), (step + 1) * (1.0f / kGradChunk)));
        high_slopes[k].pairs[i].bits = scaled.high;
        low_slopes[k].pairs[i].bits = scaled.low;
      }
    }
    const uint64_t u = gpu::further(words, c * kGradWords);
    gpu::begin_products();
    multiply(high_, low_, u, sums.plain);
    multiply(high_slopes, low_slopes, u, sums.slope);
    outputs.begin(memory_, own(c), gpu::further(u, kGradSignal));
    gpu::close_products();
  }

  // sum = constants of a chunk times words of all columns.
  __device__ static void multiply(const Powers& high, const Powers& low, uint64_t words,
                                  Tiles& sum) {
#pragma unroll
    for (int k = 0; k < kHalves; ++k) {
      const uint64_t factor = gpu::further(words, 2 * k * kGradAlong);
      gpu::multiply<gpu::TileOrder::kAlongSum>(high[k], factor,
                                               k == 0 ? gpu::Sum::kNew : gpu::Sum::kMore, sum);
      gpu::multiply<gpu::TileOrder::kAlongSum>(low[k], factor, gpu::Sum::kMore, sum);
    }
  }

  // Through the chunks of a channel, leaving their states in shared memory.
  __device__ void march(int c, const Sums& sums) {
    const float4 hop_gain = memory_.hops[own(c)][lane_mode()];
    const float2 hop = make_float2(hop_gain.x, hop_gain.y);
    const float2 gain = make_float2(hop_gain.z, hop_gain.w);
    GradMarch now = marches_[c];
    uint32_t real[kGradTiles], imaginary[kGradTiles];
#pragma unroll
    for (int tile = kGradTiles - 1; tile >= 0; --tile) {
      float2 out[2];
#pragma unroll
      for (int chunk = 1; chunk >= 0; --chunk) {
        const auto of_u = [&](const Tiles& sum) {
          return make_float2(sum[tile][chunk], sum[tile][chunk + 2]);
        };
        const auto of_dy = [&](const Tiles& sum) {
          return make_float2(sum[kGradTiles + tile][chunk], sum[kGradTiles + tile][chunk + 2]);
        };
        const float2 inputs = of_u(sums.plain);
        now.near = times_plus(now.p, inputs, now.near);
        now.far = times_plus(now.slope, inputs, times_plus(now.p, of_u(sums.slope), now.far));
        out[chunk] = times(gain, now.p);
        const float2 both = make_float2(now.slope.x + now.p.x, now.slope.y + now.p.y);
        now.slope = times_plus(hop, both, of_dy(sums.slope));
        now.p = times_plus(hop, now.p, of_dy(sums.plain));
      }
      real[tile] = gpu::halves(out[0].x, out[1].x);
      imaginary[tile] = gpu::halves(-out[0].y, -out[1].y);
    }
    marches_[c] = now;
    // Whose states were there, the channel before the last, has its outputs.
    auto& states = memory_.states[group_][c % 2];
    const int matrix = lane_matrix();
#pragma unroll
    for (int tile = 0; tile < kGradTiles; tile += 2) {
      gpu::store_matrices(row_of(states[2 * grad_warp() + matrix % 2][tile + matrix / 2]),
                          {real[tile], imaginary[tile], real[tile + 1], imaginary[tile + 1]});
    }
    gpu::show_to_async_proxy();
  }

  // What is left of the march when it is over.
  __device__ void write() const {
    const BoxGradPlace place(launch_.lines);
    const int64_t line = place.first_line + threadIdx.x % 4;
    const auto end = [&](int c) { return GradMarch::End(launch_, place.channel(own(c)), line); };
    const GradMarch::End ends[kGroupChannels] = {end(0), end(1), end(2), end(3)};
#pragma unroll
    for (int c = 0; c < kGroupChannels; ++c) {
      marches_[c].write(launch_, place.first_line / kGradLines, place.channel(own(c)), line,
                        ends[c]);
    }
  }

  // One of the group's channels, among the block's.
  __device__ int own(int c) const { return group_ * kGroupChannels + c; }

  const BoxGradLaunch& launch_;
  BoxGradMemory& memory_;
  int group_;
  uint64_t powers_, states_;  // of the group
  Powers high_, low_;         // of the channel that begins next
  GradMarch marches_[kGroupChannels];
};

__global__ void __cluster_dims__(kGradBlocks, 1, 1) __launch_bounds__(kGradThreads, 1)
    box_grad_kernel(const __grid_constant__ BoxGradLaunch launch) {
  auto& memory = *reinterpret_cast<BoxGradMemory*>(shared_memory);
  gpu::let_next_begin();
  if (threadIdx.x == 0) memory.make_barriers();
  __syncthreads();
  // Constants are made meanwhile, and inputs come.
  gpu::come_to_cluster();
  // Registers go where constants are.
  static_assert(kGradWarps * kGradRegisters + kGradMovers * kGradMoverRegisters +
                    kGradLagWarps * kGradLagRegisters <=
                kGradThreads / 32 * gpu::registers_at_begin(kGradThreads));
  const int part = gpu::part_of_block(gpu::kWarpgroup);
  if (part == kGradGroups + 1) {
    gpu::give_registers<kGradLagRegisters>();
    gpu::await_cluster();
    BoxGradLags(launch, memory).run();
  } else if (part == kGradGroups) {
    gpu::give_registers<kGradMoverRegisters>();
    BoxGradMover(launch, memory).run();
  } else {
    gpu::take_registers<kGradRegisters>();
    make_grad_factors(launch, memory);
    gpu::await_cluster();
    gpu::meet_at(kGradMeeting, 32 * kGradWarps);
    BoxGrad(launch, memory).run();
  }
}

}  // namespace longwave::ops::lti_cuda
