// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "longwave/ops/ssd/ssd_warpgroup_memory_cuda.cuh"

namespace longwave::ops::ssd_cuda_kernels {

/// Warps that find decays.
inline constexpr int kStepWarps = gpu::kWarpgroup / 32 - 1;

/// One of them, which sees to every kStepWarps-th chunk.
template <typename T, int kStates>
class WarpgroupSteps {
 public:
  using Memory = WarpgroupMemory<kStates>;

  __device__ WarpgroupSteps(const SsdCudaInputs<T>& in, const WarpgroupPlace& place, Memory& memory)
      : in_(in),
        place_(place),
        memory_(memory),
        first_(static_cast<int>(threadIdx.x) % 32 * kEach),
        rates_{HeadRate(in, place.head), HeadRate(in, place.head + place.heads - 1)} {}

  __device__ void run(int first_chunk) {
    read(first_chunk);
#pragma unroll 1
    for (int i = first_chunk; i < place_.chunks; i += kStepWarps) {
      const Read now = read_;
      read(i + kStepWarps);
#pragma unroll 1
      for (int head = 0; head < place_.heads; ++head) find(i, head, now);
    }
  }

 private:
  static_assert(kWarpgroupHeads == 2);
  static constexpr int kEach = RawSteps<kWarpgroupSteps>::kEach;

  // What stays as it came until it is wanted, so that nothing waits for it.
  struct Read {
    T sizes[kWarpgroupHeads][kEach];
    uint8_t starts[kEach] = {};
  };

  __device__ void read(int i) {
    if (i >= place_.chunks) return;
    const int64_t t = place_.first_step(i) + first_;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      if (first_ + j >= place_.steps_at(i)) break;
      read_.sizes[0][j] = in_.dt(place_.b, t + j, place_.head);
      read_.sizes[1][j] = in_.dt(place_.b, t + j, place_.head + place_.heads - 1);
      if (!in_.starts.absent()) read_.starts[j] = in_.starts(place_.b, t + j);
    }
  }

  __device__ void find(int i, int head, const Read& read) {
    const int count = place_.steps_at(i);
    RawSteps<kWarpgroupSteps> raw;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const float first = gpu::widen(read.sizes[0][j]), second = gpu::widen(read.sizes[1][j]);
      raw.dt[j] = head == 0 ? first : second;
      raw.start[j] = first_ + j < count && read.starts[j] != 0;
    }
    auto& decays = memory_.heads[head].decays;
    decays.await_room(i);
    WarpgroupDecays& to = decays.at(i);
    HeadRate of = rates_[0];
    if (head > 0) of = rates_[1];
    find_decays(in_, raw, count, of, to);
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      to.from[first_ + j] = to.sums[first_ + j] - gpu::log2_fast(to.sizes[first_ + j]);
    }
    decays.give(i);
  }

  const SsdCudaInputs<T>& in_;
  const WarpgroupPlace& place_;
  Memory& memory_;
  const int first_;  // of the lane's steps of a chunk
  const HeadRate rates_[kWarpgroupHeads];
  Read read_;  // of the next chunk
};

}  // namespace longwave::ops::ssd_cuda_kernels
