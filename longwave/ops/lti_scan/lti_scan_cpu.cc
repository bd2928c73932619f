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
// Neighbouring tiles that go through time together, so that rows of memory are used while near;
// fewer if that would leave threads without work.
constexpr int64_t kTilesTogether = 4;
constexpr int64_t kTargetItems = 32;

int64_t items_a_piece(const LtiTiling& tiling, int64_t time) {
  return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, time * (tiling.lane_modes() + 1)));
}

// One tile of a row block on its way through time.
class ForwardTile {
 public:
  ForwardTile() = default;
  ForwardTile(const LtiScanArgs<float>& args, const LtiTiling& tiling, int64_t row_block,
              int64_t group, const float* factors, float* state)
      : args_(&args), tiling_(&tiling), row_block_(row_block), group_(group) {
    tiling.pack_skip(group, args.d, skip_);
    tiling.pack(row_block, group, kComplex, state, [&](const LtiTiling::Lane& lane, int64_t n) {
      return args.h(lane.row, lane.channel, n);
    });
    block_.modes = tiling.lane_modes();
    block_.factors = factors;
    block_.h = state;
  }

  void run(int64_t begin, int64_t time) {
    alignas(64) float u[kLtiScanBlock * kLanes];
    alignas(64) float y[kLtiScanBlock * kLanes];
    block_.time = time;
    block_.d = skip_;
    block_.u = u;
    block_.y = y;
    tiling_->load(args_->u, row_block_, group_, begin, time, u);
    block_.soon[0] = soon(args_->u, begin + kLtiScanBlock);
    block_.soon[1] = soon(args_->y, begin);
    lti_forward_block(block_);
    tiling_->store(y, row_block_, group_, begin, time, args_->y);
  }

  void finish() const {
    tiling_->unpack(block_.h, row_block_, group_,
                    [&](const LtiTiling::Lane& lane, int64_t n, std::complex<float> value) {
                      args_->h(lane.row, lane.channel, n) = value;
                    });
  }

 private:
  SoonRows soon(View<const float, 3> signal, int64_t begin) const {
    return tiling_->soon(signal, row_block_, group_, begin, kLtiScanBlock);
  }

  const LtiScanArgs<float>* args_ = nullptr;
  const LtiTiling* tiling_ = nullptr;
  int64_t row_block_ = 0, group_ = 0;
  alignas(64) float skip_[kLanes];
  LtiForwardBlock block_;
};

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
  const int64_t time = args.u.extent(1), groups = tiling.groups();
  const int64_t tiles = groups * tiling.row_blocks();
  const int64_t state_size = tiling.lane_modes() * kComplex;
  const std::span<float> factors = workspace.take<float>(groups * tiling.factor_size());
  tiling.pack_factors(args.a, args.c, factors.data());
  const std::span<float> states = workspace.take<float>(tiles * state_size);
  const int64_t together = std::clamp<int64_t>(tiles / kTargetItems, 1, kTilesTogether);
  const int64_t chunks = (groups + together - 1) / together;
  const int64_t grain = items_a_piece(tiling, time * together);
  parallel_for(tiling.row_blocks() * chunks, grain, [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t row_block = item / chunks, first = item % chunks * together;
      const int64_t count = std::min(together, groups - first);
      ForwardTile near[kTilesTogether];
      for (int64_t i = 0; i < count; ++i) {
        near[i] = ForwardTile(args, tiling, row_block, first + i,
                              factors.data() + (first + i) * tiling.factor_size(),
                              states.data() + (row_block * groups + first + i) * state_size);
      }
      for (int64_t t = 0; t < time; t += kLtiScanBlock) {
        for (int64_t i = 0; i < count; ++i) near[i].run(t, std::min(kLtiScanBlock, time - t));
      }
      for (int64_t i = 0; i < count; ++i) near[i].finish();
    }
  });
}

}  // namespace longwave::ops
