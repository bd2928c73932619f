// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/lti_scan/lti_scan_cpu.h"

#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/lti_scan/lti_blocks.h"
#include "longwave/ops/lti_scan/lti_tiling.h"
#include "longwave/ops/simd/flush_subnormals.h"

namespace longwave::ops {
namespace {

constexpr int64_t kLanes = LtiTiling::kLanes;
constexpr int64_t kComplex = LtiTiling::kComplex;
// Steps times modes that are worth waking another thread.
constexpr int64_t kGrain = 1 << 14;

int64_t tiles_a_piece(const LtiTiling& tiling, int64_t time) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, time * (tiling.lane_modes() + 1)));
}

void forward_tile(const LtiScanArgs<float>& args, const LtiTiling& tiling, int64_t row_block,
                  int64_t group, const float* factors, float* state) {
  const int64_t time = args.u.extent(1);
  alignas(64) float u[kLtiScanBlock * kLanes];
  alignas(64) float y[kLtiScanBlock * kLanes];
  alignas(64) float skip[kLanes];
  tiling.pack_skip(group, args.d, skip);
  tiling.pack(row_block, group, kComplex, state, [&](const LtiTiling::Lane& lane, int64_t n) {
    return args.h(lane.row, lane.channel, n);
  });
  LtiForwardBlock block;
  block.modes = tiling.lane_modes();
  block.factors = factors;
  block.d = skip;
  block.u = u;
  block.h = state;
  block.y = y;
  for (int64_t begin = 0; begin < time; begin += kLtiScanBlock) {
    block.time = std::min(kLtiScanBlock, time - begin);
    tiling.load(args.u, row_block, group, begin, block.time, u);
    lti_forward_block(block);
    tiling.store(y, row_block, group, begin, block.time, args.y);
  }
  tiling.unpack(state, row_block, group,
                [&](const LtiTiling::Lane& lane, int64_t n, std::complex<float> value) {
                  args.h(lane.row, lane.channel, n) = value;
                });
}

}  // namespace

size_t lti_scan_cpu_bytes(int64_t batch, int64_t channels, int64_t modes) {
  const LtiTiling tiling(batch, channels, modes);
  const int64_t tiles = tiling.groups() * tiling.row_blocks();
  return Workspace::bytes_for<float>(tiling.groups() * tiling.factor_size()) +
         Workspace::bytes_for<float>(tiles * tiling.lane_modes() * kComplex);
}

void lti_scan_cpu(const LtiScanArgs<float>& args, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const LtiTiling tiling(args.u.extent(0), args.u.extent(2), args.a.extent(1));
  const int64_t modes = tiling.lane_modes();
  const int64_t tiles = tiling.groups() * tiling.row_blocks();
  const std::span<float> factors = workspace.take<float>(tiling.groups() * tiling.factor_size());
  tiling.pack_factors(args.a, args.c, factors.data());
  const std::span<float> states = workspace.take<float>(tiles * modes * kComplex);
  parallel_for(tiles, tiles_a_piece(tiling, args.u.extent(1)), [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t group = tile / tiling.row_blocks(), row_block = tile % tiling.row_blocks();
      forward_tile(args, tiling, row_block, group, factors.data() + group * tiling.factor_size(),
                   states.data() + tile * modes * kComplex);
    }
  });
}

}  // namespace longwave::ops
