// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "longwave/ops/cuda/block_parts_cuda.cuh"
#include "longwave/ops/cuda/numbers_cuda.cuh"
#include "longwave/ops/cuda/turn_barrier_cuda.cuh"
#include "longwave/ops/cuda/warp_instructions_cuda.cuh"
#include "longwave/ops/selective_scan/selective_scan_states_cuda.cuh"

namespace longwave::ops {
namespace selective_cuda {

/// One block's channels over all time, where some warps only scan.
///
/// A third of the warps loads and prepares tiles of steps, a third scans them, and a third adds up
/// what the lanes of a channel have found and sends outputs off:
///
///   prepare    tile 2 | tile 3 | ...                  ready(k): the tile can be scanned
///   scan       tile 1 |   tile 2   |   tile 3 | ...   marched(k): its outputs can be finished
///   finish     tile 0 | tile 1   | ...                finished(k): its slot can be used again
///
/// So that one warp of a scheduler scans without a pause, it reads two groups of steps ahead, and
/// finds factors one group ahead of the states that take them.
template <typename T, int kStates, int kLanes>
class ScanApart
    : private States<T, kStates, kLanes, 1, SelectivePass::kAll, SelectiveWork::kApart> {
 public:
  using Base = States<T, kStates, kLanes, 1, SelectivePass::kAll, SelectiveWork::kApart>;
  using typename Base::Shared;
  static constexpr int kParts = 3;

  __device__ ScanApart(const SelectiveScanLaunch<T>& launch, Shared& shared)
      : Base(launch, shared),
        tiles_(static_cast<int>((end_ - begin_ + kSteps - 1) / kSteps)),
        part_(Slot::place(place(0), lane_)) {}

  __device__ void run() {
    if (threadIdx.x == 0) {
      for (auto& slots : shared_.turns) {
        for (gpu::TurnBarrier& turns : slots) gpu::make_turns(turns, kSelectiveThreads);
      }
    }
    __syncthreads();
    const int part = gpu::part_of_block(kSelectiveThreads);
    if (part == 0) {
      prepare_all();
    } else if (part == 1) {
      march();
    } else {
      finish_all();
    }
  }

 private:
  using Base::begin_, Base::end_, Base::lane_, Base::launch_, Base::place, Base::shared_;
  using Base::kSteps, Base::A_, Base::h_;
  using typename Base::Slot;
  static constexpr int kSlots = Shared::kSlots, kAhead = Shared::kAhead, kStages = Shared::kStages;
  static constexpr int kGroup = 4, kGroups = kSteps / kGroup;  // steps that are read together
  static_assert(kSteps % kGroup == 0 && kGroups >= 2);

  __device__ Slot& slot(int k) const { return shared_.slots[k % kSlots]; }
  __device__ gpu::TurnBarrier& ready(int k) const { return shared_.turns[0][k % kSlots]; }
  __device__ gpu::TurnBarrier& marched(int k) const { return shared_.turns[1][k % kSlots]; }
  __device__ gpu::TurnBarrier& finished(int k) const { return shared_.turns[2][k % kSlots]; }
  __device__ int64_t time(int k) const { return begin_ + int64_t{k} * kSteps; }

  __device__ void load_tile(int k) {
    if (k < tiles_) this->load(time(k), k % kStages);
    gpu::close_copies();
  }

  __device__ void prepare_all() {
    this->begin_loads();
    for (int k = 0; k < kAhead; ++k) load_tile(k);
#pragma unroll 1
    for (int k = 0; k < tiles_; ++k) {
      if (k >= kSlots) gpu::await_turn(finished(k), k / kSlots - 1);
      gpu::await_copies<kAhead - 1>();
      Base::meet();
      load_tile(k + kAhead);
      const bool anew = this->prepare(time(k), k % kStages, slot(k));
      if (threadIdx.x == 0) slot(k).starts_anew = anew;
      gpu::arrive(ready(k));
    }
  }

  __device__ void finish_all() {
    this->begin_outputs();
#pragma unroll 1
    for (int k = 0; k < tiles_; ++k) {
      gpu::await_turn(marched(k), k / kSlots);
      this->finish(time(k), k % kStages, slot(k));
      gpu::arrive(finished(k));
    }
  }

  // A group of steps as it lies in shared memory.
  struct Operands {
    float2 s[kGroup];
    float B[kGroup][kStates], C[kGroup][kStates];
  };
  // What becomes of it: h = factor h + added, and the outputs' C.
  struct Terms {
    float factor[kGroup][kStates], added[kGroup][kStates], C[kGroup][kStates];
  };

  __device__ void read(const Slot& from, int first, Operands& to) const {
#pragma unroll
    for (int j = 0; j < kGroup; ++j) {
      to.s[j] = from.steps[first + j][place(0)];
      this->read_states(from, 0, first + j, to.B[j]);
      this->read_states(from, 1, first + j, to.C[j]);
    }
  }

  __device__ Terms terms_of(const Operands& of) const {
    Terms terms;
#pragma unroll
    for (int j = 0; j < kGroup; ++j) {
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        terms.factor[j][n] = gpu::exp2_fast(of.s[j].x * A_[0][n]);
        terms.added[j][n] = of.s[j].y * of.B[j][n];
        terms.C[j][n] = of.C[j][n];
      }
    }
    return terms;
  }

  template <bool kStarts>
  __device__ void take(const Terms& terms, Slot& in, int first) {
#pragma unroll
    for (int j = 0; j < kGroup; ++j) {
      const bool start = kStarts && in.starts[first + j] != 0;
      float sum = 0.0f;
#pragma unroll
      for (int n = 0; n < kStates; ++n) {
        const bool anew = kStarts && start;  // what was before must not matter, even infinity
        const float before = anew ? 0.0f : h_[0][n];
        h_[0][n] = fmaf(anew ? 0.0f : terms.factor[j][n], before, terms.added[j][n]);
        sum = n == 0 ? terms.C[j][n] * h_[0][n] : fmaf(terms.C[j][n], h_[0][n], sum);
      }
      in.parts[first + j][part_] = sum;
    }
  }

  __device__ void march() {
    this->begin();
    if (tiles_ > 0) {
      gpu::await_as_warp(ready(0), 0);
      Operands next;
      read(slot(0), 0, next);
      Terms terms = terms_of(next);
      read(slot(0), kGroup, next);
      const bool packed = !launch_.args.in.starts.absent();
      const bool kept = !launch_.args.states.absent();
#pragma unroll 1
      for (int k = 0; k < tiles_; ++k) {
        if (kept) this->keep(time(k));
        if (packed && slot(k).starts_anew) {
          march_tile<true>(k, next, terms);
        } else {
          march_tile<false>(k, next, terms);
        }
        gpu::arrive(marched(k));
      }
    }
    this->end();
  }

  // Some groups a turn of the loop: a whole tile where no sequence starts.
  template <bool kStarts>
  __device__ void march_tile(int k, Operands& next, Terms& terms) {
    constexpr int kTurn = kStarts ? 2 : kGroups, kRows = kTurn * kGroup;
    Slot& here = slot(k);
    const bool last = k + 1 == tiles_;
#pragma unroll 1
    for (int first = 0; first < kSteps; first += kRows) {
      const bool ends = first + kRows == kSteps;
      if (ends && !last) {
        gpu::await_as_warp(ready(k + 1), (k + 1) / kSlots);
      }
      // Behind the last tile there is nothing: what is read then is not used.
      const Slot& behind = ends && !last ? slot(k + 1) : here;
      const int row_behind = ends ? 0 : first + kRows;
#pragma unroll
      for (int j = 0; j < kTurn; ++j) {
        const Terms then = terms_of(next);
        if (j + 2 < kTurn) {
          read(here, first + (j + 2) * kGroup, next);
        } else {
          read(behind, row_behind + (j + 2 - kTurn) * kGroup, next);
        }
        take<kStarts>(terms, here, first + j * kGroup);
        terms = then;
      }
    }
  }

  int tiles_, part_;  // of time; where this lane leaves its part of an output
};

template <typename T, int kStates, int kLanes>
__global__ void __launch_bounds__(ScanApart<T, kStates, kLanes>::kParts* kSelectiveThreads, 1)
    apart_kernel(const __grid_constant__ SelectiveScanLaunch<T> launch) {
  extern __shared__ __align__(16) unsigned char bytes[];
  using Scan = ScanApart<T, kStates, kLanes>;
  Scan(launch, *reinterpret_cast<typename Scan::Shared*>(bytes)).run();
}

}  // namespace selective_cuda
}  // namespace longwave::ops
