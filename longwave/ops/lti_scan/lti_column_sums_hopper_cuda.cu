// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/cuda/block_parts_cuda.cuh"
#include "longwave/ops/cuda/warpgroup_cuda.cuh"
#include "longwave/ops/lti_scan/lti_column_sums_launch_cuda.cuh"
#include "longwave/ops/lti_scan/lti_launch_cuda.cuh"

namespace longwave::ops::lti_cuda {
namespace {

// A thread's sums of pairs of steps, in tiles of 16 and 8, and of tiles of modes. Those of some
// stages are added to those before: tensor cores round sums down.
constexpr int kColumnPairs = 4, kColumnSumStages = 16;
using ColumnSums = float4[kColumnPairs + kColumnTiles][kColumnThreads];

struct ColumnSumsShared {
  ColumnSums sums;
  float4 ends[kColumnTiles][2][kColumnThreads];  // h and s at the end of a sequence
  ColumnPowers powers;
  ColumnShared signals;
};

// Adds a thread's sums to those in shared memory, and begins anew.
__device__ void keep(float4& kept, float (&sum)[4]) {
  const float4 before = kept;
  kept = make_float4(before.x + sum[0], before.y + sum[1], before.z + sum[2], before.w + sum[3]);
#pragma unroll
  for (float& x : sum) x = 0.0f;
}
__device__ void keep(ColumnSums& kept, ColumnPairs& pairs, ColumnMarch (&marches)[kColumnTiles]) {
#pragma unroll
  for (int i = 0; i < kColumnPairs; ++i) keep(kept[i][threadIdx.x], pairs.sums[i / 2][i % 2]);
#pragma unroll
  for (int i = 0; i < kColumnTiles; ++i) {
    ColumnMarch& march = marches[i];
    float sums[4] = {march.dc.x, march.dc.y, march.da.x, march.da.y};
    keep(kept[kColumnPairs + i][threadIdx.x], sums);
    march.dc = march.da = make_float2(0.0f, 0.0f);
  }
}

// The sum of what the lanes of a mode hold.
__device__ float over_quarters(float sum) {
#pragma unroll
  for (int mask = 1; mask < 4; mask *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, mask);
  return sum;
}

// Leaves the sums of a warp in `parts`.
__device__ void write_column_sums(const ColumnSums& kept, const Parts& parts, int64_t line_group,
                                  int64_t channel, int first_tile) {
  const int g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
  for (int i = 0; i < kColumnTiles; ++i) {
    const float4 own = kept[kColumnPairs + i][threadIdx.x];
    const float2 dc = make_float2(over_quarters(own.x), over_quarters(own.y));
    const float2 da = make_float2(over_quarters(own.z), over_quarters(own.w));
    const int mode = (first_tile + i) * kColumnModes + g;
    if (q > 1 || channel >= parts.channels || mode >= parts.groups * kSumModes) continue;
    parts.state(line_group, channel, q, mode) = q == 0 ? dc : da;
  }
  if (channel >= parts.channels) return;
  for (int i = 0; i < kColumnPairs; ++i) {
    const float4 pairs = kept[i][threadIdx.x];
    const int row = 16 * (i / 2) + g, column = 8 * (first_tile + i % 2) + 2 * q;
    parts.pair(line_group, channel, row, column) = pairs.x;
    parts.pair(line_group, channel, row, column + 1) = pairs.y;
    parts.pair(line_group, channel, row + 8, column) = pairs.z;
    parts.pair(line_group, channel, row + 8, column + 1) = pairs.w;
  }
}

// A warp's modes and a lane's lines.
struct ColumnLane {
  int64_t channel, sequence[2], segment[2];
  int mode;
  bool there[2];

  __device__ ColumnLane(const Lines& lines, const ColumnPlace& place, int64_t of_channel, int tile)
      : channel(of_channel), mode(tile * kColumnModes + threadIdx.x % 32 / 4) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const Line line = line_of(lines, place.first_line + threadIdx.x % 4 * 2 + r);
      there[r] = line.length >= 0 && channel < lines.channels;
      sequence[r] = line.sequence;
      segment[r] = line.segment;
    }
  }

  __device__ void load(const ColumnSumsLaunch& launch, float (&h)[4], float (&s)[4]) const {
    if (mode >= launch.a.extent(1)) return;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (!there[r]) continue;
      if (launch.lines.cut.segments == 1) {
        set_column_state(h, r, number(launch.h0(sequence[r], channel, mode)));
      } else {
        const int group = mode / kSumModes, n = mode % kSumModes;
        set_column_state(h, r, launch.h(group, sequence[r], segment[r], channel, n));
        set_column_state(s, r, launch.s(group, sequence[r], segment[r], channel, n));
      }
    }
  }

  __device__ void write_ends(const ColumnSumsLaunch& launch,
                             const float4 (&ends)[2][kColumnThreads]) const {
    if (mode >= launch.a.extent(1)) return;
    const float4 h = ends[0][threadIdx.x], s = ends[1][threadIdx.x];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (!there[r] || segment[r] != launch.lines.cut.segments - 1) continue;
      const auto number_of = [&](const float4& x) {
        return r == 0 ? std::complex<float>(x.x, x.z) : std::complex<float>(x.y, x.w);
      };
      launch.ends.h(sequence[r], channel, mode) = number_of(h);
      launch.ends.s(sequence[r], channel, mode) = number_of(s);
    }
  }
};

__device__ double2 column_pole(const ColumnSumsLaunch& launch, int64_t channel, int64_t mode) {
  const bool there = channel < launch.lines.channels && mode < launch.a.extent(1);
  return there ? wide(number(launch.a(channel, mode))) : make_double2(0.0, 0.0);
}

// The work of a warp: tiles of modes of a channel.
struct ColumnTask {
  ColumnPlace place;
  int64_t channel;
  int own_channel, first_tile;

  __device__ explicit ColumnTask(const Lines& lines) : place(ColumnPlace::of(lines)) {
    const int warp = threadIdx.x / 32;
    own_channel = warp % kColumnChannels;
    first_tile = warp / kColumnChannels * kColumnTiles;
    channel = place.first_channel + int64_t{gpu::cluster_rank()} * kColumnChannels + own_channel;
  }

  __device__ ColumnLane lane(const Lines& lines, int tile) const {
    return ColumnLane(lines, place, channel, first_tile + tile);
  }
  // The chunk that the end of sequences lies in, or a negative number.
  __device__ int last_chunk(const ColumnSumsLaunch& launch) const {
    const LtiCut& cut = launch.lines.cut;
    if (launch.ends.h.absent()) return -kColumnChunks;
    return static_cast<int>((launch.lines.time - (cut.segments - 1) * cut.steps) / kColumnChunk);
  }
};

// What the warps that compute do.
__device__ void add_up(const ColumnSumsLaunch& launch, ColumnSumsShared& shared) {
  const ColumnTask task(launch.lines);
  const bool with_modes = task.first_tile * kColumnModes < launch.a.extent(1);
  const int last_chunk = task.last_chunk(launch);
  for (auto& sums : shared.sums) sums[threadIdx.x] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  shared.powers.fill([&](int of_channel, int mode) {
    return column_pole(launch, task.channel - task.own_channel + of_channel, mode);
  });
  gpu::meet_at(1, kColumnThreads);
  ColumnMarch marches[kColumnTiles];
#pragma unroll
  for (int i = 0; i < kColumnTiles; ++i) {
    const ColumnLane lane = task.lane(launch.lines, i);
    marches[i].prepare(shared.powers, task.own_channel, lane.mode);
    lane.load(launch, marches[i].h, marches[i].s);
  }
  ColumnPairs pairs;
  const auto put_ends = [&] {
#pragma unroll
    for (int i = 0; i < kColumnTiles; ++i) marches[i].put_ends(shared.ends[i]);
  };

  ColumnSignals signals(shared.signals);
  const int stages = column_stages(launch.lines);
  // 32 steps of a chunk; 16 of the warp's own in both chunks; 16 of both chunks as a left factor.
  constexpr int kHalf = kColumnChunk / 8;
  const int matrix = threadIdx.x % 32 / 8;
  const int of_chunk = signals.row(task.own_channel, matrix);
  const int own = signals.row(task.own_channel, task.first_tile + matrix / 2 + matrix % 2 * kHalf);
  const int of_both = signals.row(task.own_channel, matrix % 2 + matrix / 2 * kHalf);
  const auto take_pairs = [&](int stage) {
    uint32_t u[4], dy[2][4];
    gpu::load_transposed_matrices(signals.at(stage, 0, own, 0), u);
#pragma unroll
    for (int m = 0; m < 2; ++m) {
      gpu::load_transposed_matrices(signals.at(stage, 1, of_both, 2 * m), dy[m]);
    }
    pairs.add(dy, u);
  };
  const auto go = [&](int stage) {
    signals.await(stage);
    take_pairs(stage);
    if (!with_modes) {
      signals.leave(stage);
      return;
    }
    uint32_t u[kColumnChunks][4], dy[kColumnChunks][4];
#pragma unroll
    for (int c = 0; c < kColumnChunks; ++c) {
      gpu::load_matrices(signals.at(stage, 0, of_chunk, c * kHalf), u[c]);
      gpu::load_matrices(signals.at(stage, 1, of_chunk, c * kHalf), dy[c]);
    }
    signals.leave(stage);
    const bool last = stage == last_chunk / kColumnChunks;
#pragma unroll
    for (int i = 0; i < kColumnTiles; ++i) {
      ColumnMarch& march = marches[i];
      float added[kColumnChunks][2][4], wanted[kColumnChunks][2][4];
      multiply(march.in, u, added);
      multiply(march.out, dy, wanted);
#pragma unroll
      for (int c = 0; c < kColumnChunks; ++c) {
        if (last && last_chunk % kColumnChunks == c) march.put_ends(shared.ends[i]);
        march.go(added[c], wanted[c]);
      }
    }
  };
  constexpr int kEach = 2;
  for (int stage = 0; stage < stages; stage += kEach) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      if (stage + i < stages) go(stage + i);
    }
    if ((stage + kEach) % kColumnSumStages == 0) keep(shared.sums, pairs, marches);
  }
  if (stages * kColumnChunks == last_chunk) put_ends();
  keep(shared.sums, pairs, marches);

  const ColumnTask again(launch.lines);
  for (int i = 0; i < kColumnTiles && last_chunk >= 0; ++i) {
    again.lane(launch.lines, i).write_ends(launch, shared.ends[i]);
  }
  write_column_sums(shared.sums, launch.parts, again.place.first_line / kColumnLines, again.channel,
                    again.first_tile);
}

// A cluster for 8 channels of 8 lines.
__global__ void __cluster_dims__(kColumnBlocks, 1, 1) __launch_bounds__(kColumnBlock, 1)
    column_sums_kernel(const __grid_constant__ ColumnSumsLaunch launch) {
  extern __shared__ __align__(1024) std::byte column_memory[];
  auto& shared = *reinterpret_cast<ColumnSumsShared*>(column_memory);
  if (threadIdx.x == 0) shared.signals.make_barriers();
  gpu::synchronize_cluster();
  if (threadIdx.x >= kColumnThreads) {
    gpu::give_registers<kColumnBringerRegisters>();
    ColumnBringer(launch.maps, launch.lines, shared.signals).bring_all();
  } else {
    gpu::take_registers<kColumnRegisters>();
    add_up(launch, shared);
  }
  // The other block may still arrive at this block's barriers.
  gpu::synchronize_cluster();
}

}  // namespace

void queue_column_sums(const ColumnSumsLaunch& launch, cudaStream_t stream, const char* where) {
  const int64_t clusters = groups_of(launch.lines.count(), kColumnLines) *
                           groups_of(launch.lines.channels, kColumnRowChannels);
  queue(column_sums_kernel, gpu::blocks_for(clusters * kColumnBlocks, 1, where), kColumnBlock,
        sizeof(ColumnSumsShared), launch, stream, where);
}

}  // namespace longwave::ops::lti_cuda
