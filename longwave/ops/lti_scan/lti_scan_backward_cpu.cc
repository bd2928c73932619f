// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <complex>
#include <span>

#include "longwave/base/parallel.h"
#include "longwave/ops/lti_scan/lti_blocks.h"
#include "longwave/ops/lti_scan/lti_scan_cpu.h"
#include "longwave/ops/lti_scan/lti_tiling.h"
#include "longwave/ops/simd/flush_subnormals.h"

namespace longwave::ops {
namespace {

constexpr int64_t kLanes = LtiTiling::kLanes;
constexpr int64_t kComplex = LtiTiling::kComplex;
// Neighbouring tiles that go through time together, so that rows of memory are used while near;
// fewer if that would leave less work items than keep many threads busy.
constexpr int64_t kTilesTogether = 4;
constexpr int64_t kTargetItems = 32;

using Panel = float[kLtiScanBlock * kLanes];

// Scratch of one work item: the sums over time of some rows of one group.
struct GradientSums {
  static int64_t floats(const LtiTiling& tiling) { return 3 * tiling.lane_modes() * kComplex; }
  static int64_t doubles(const LtiTiling& tiling) {
    return 3 * tiling.lane_modes() * kComplex + kLanes;
  }

  GradientSums() = default;
  GradientSums(const LtiTiling& tiling, float* states, double* totals)
      : hs(states),
        g(states + 2 * tiling.lane_modes() * kComplex),
        sums(totals),
        da(totals + 2 * tiling.lane_modes() * kComplex),
        dd(totals + 3 * tiling.lane_modes() * kComplex) {}

  float* hs = nullptr;     // (lane_modes, 4, lanes) h and s
  float* g = nullptr;      // (lane_modes, 2, lanes)
  double* sums = nullptr;  // (lane_modes, 4, lanes) of dy h and dy s
  double* da = nullptr;    // (lane_modes, 2, lanes) dh conj(s[time-1])
  double* dd = nullptr;    // (lanes)
};

// How the tiles are shared among work items: decided by shapes alone.
struct Sharing {
  explicit Sharing(const LtiTiling& tiling) {
    const int64_t groups = std::max<int64_t>(1, tiling.groups());
    const int64_t row_blocks = std::max<int64_t>(1, tiling.row_blocks());
    together = std::clamp<int64_t>(groups * row_blocks / kTargetItems, 1, kTilesTogether);
    chunks = (tiling.groups() + together - 1) / together;
    parts = std::clamp<int64_t>(kTargetItems / std::max<int64_t>(1, chunks), 1, row_blocks);
  }

  int64_t together;  // neighbouring groups that go through time side by side
  int64_t chunks;    // of groups
  int64_t parts;     // of the row blocks, each with sums of its own
};

class BackwardTile {
 public:
  BackwardTile() = default;
  BackwardTile(const LtiScanGradArgs<float>& args, const LtiTiling& tiling, int64_t row_block,
               int64_t group, const float* factors, const GradientSums& scratch)
      : args_(&args), tiling_(&tiling), row_block_(row_block), group_(group), scratch_(scratch) {
    tiling.pack_skip(group, args.d, skip_);
    factors_ = factors;
  }

  // dc, dd and da, forward in time.
  void start_sums() const {
    tiling_->pack(row_block_, group_, 2 * kComplex, scratch_.hs,
                  [&](const LtiTiling::Lane& lane, int64_t n) {
                    return args_->h0(lane.row, lane.channel, n);
                  });
    tiling_->pack(row_block_, group_, 2 * kComplex, scratch_.hs + kComplex,
                  [](const LtiTiling::Lane&, int64_t) { return std::complex<float>(0); });
  }
  void add_sums(int64_t begin, int64_t time) const {
    alignas(64) Panel u, dy;
    LtiSumsBlock block;
    describe(block, time);
    block.u = u;
    block.dy = dy;
    block.hs = scratch_.hs;
    block.sums = scratch_.sums;
    block.dd = scratch_.dd;
    tiling_->load(args_->u, row_block_, group_, begin, time, u);
    tiling_->load(args_->dy, row_block_, group_, begin, time, dy);
    block.soon[0] = soon(args_->u, begin + kLtiScanBlock);
    block.soon[1] = soon(args_->dy, begin + kLtiScanBlock);
    lti_sums_block(block);
  }
  void finish_sums() const {
    if (args_->dh.absent()) return;
    tiling_->for_each_lane(row_block_, group_, [&](int64_t index, const LtiTiling::Lane& lane) {
      for (int64_t m = 0; tiling_->mode(m, lane.slice) < tiling_->modes(); ++m) {
        const float* s = scratch_.hs + m * 2 * kComplex + kComplex + index;
        const std::complex<double> dh =
            args_->dh(lane.row, lane.channel, tiling_->mode(m, lane.slice));
        const std::complex<double> da = dh * std::complex<double>(s[0], -s[kLanes]);
        scratch_.da[m * kComplex + index] += da.real();
        scratch_.da[m * kComplex + kLanes + index] += da.imag();
      }
    });
  }

  // du and dh0, backward in time.
  void start_adjoint() const {
    tiling_->pack(row_block_, group_, kComplex, scratch_.g,
                  [&](const LtiTiling::Lane& lane, int64_t n) {
                    return args_->dh.absent() ? 0 : args_->dh(lane.row, lane.channel, n);
                  });
  }
  void adjoint(int64_t begin, int64_t time) const {
    alignas(64) Panel dy, du;
    LtiAdjointBlock block;
    describe(block, time);
    block.dy = dy;
    block.g = scratch_.g;
    block.du = du;
    tiling_->load(args_->dy, row_block_, group_, begin, time, dy);
    block.soon[0] = soon(args_->dy, begin - kLtiScanBlock);
    block.soon[1] = soon(args_->du, begin);
    lti_adjoint_block(block);
    tiling_->store(du, row_block_, group_, begin, time, args_->du);
  }
  void finish_adjoint() const {
    tiling_->unpack(scratch_.g, row_block_, group_,
                    [&](const LtiTiling::Lane& lane, int64_t n, std::complex<float> value) {
                      args_->dh0(lane.row, lane.channel, n) = value;
                    });
  }

 private:
  SoonRows soon(View<const float, 3> signal, int64_t begin) const {
    return tiling_->soon(signal, row_block_, group_, begin, kLtiScanBlock);
  }

  void describe(LtiBlock& block, int64_t time) const {
    block.time = time;
    block.modes = tiling_->lane_modes();
    block.factors = factors_;
    block.d = skip_;
  }

  const LtiScanGradArgs<float>* args_ = nullptr;
  const LtiTiling* tiling_ = nullptr;
  int64_t row_block_ = 0, group_ = 0;
  GradientSums scratch_;
  const float* factors_ = nullptr;
  alignas(64) float skip_[kLanes];
};

// Takes neighbouring tiles through time, forward for the sums and back for the adjoint state.
void backward_tiles(std::span<const BackwardTile> tiles, int64_t time) {
  for (const BackwardTile& tile : tiles) tile.start_sums();
  for (int64_t begin = 0; begin < time; begin += kLtiScanBlock) {
    for (const BackwardTile& tile : tiles) {
      tile.add_sums(begin, std::min(kLtiScanBlock, time - begin));
    }
  }
  for (const BackwardTile& tile : tiles) {
    tile.finish_sums();
    tile.start_adjoint();
  }
  const int64_t blocks = (time + kLtiScanBlock - 1) / kLtiScanBlock;
  for (int64_t i = blocks - 1; i >= 0; --i) {
    const int64_t begin = i * kLtiScanBlock;
    for (const BackwardTile& tile : tiles) {
      tile.adjoint(begin, std::min(kLtiScanBlock, time - begin));
    }
  }
  for (const BackwardTile& tile : tiles) tile.finish_adjoint();
}

// Writes a group's da, dc and dd from its sums: rows that share a lane's channel are added.
void write_sums(const LtiScanGradArgs<float>& args, const LtiTiling& tiling, int64_t group,
                const GradientSums& total) {
  tiling.for_each_lane(0, group, [&](int64_t index, const LtiTiling::Lane& lane) {
    for (int64_t m = 0; tiling.mode(m, lane.slice) < tiling.modes(); ++m) {
      const int64_t n = tiling.mode(m, lane.slice);
      const double* sums = total.sums + m * 2 * kComplex + index;
      const double* direct = total.da + m * kComplex + index;
      const std::complex<double> c = args.c(lane.channel, n);
      const std::complex<double> dy_h(sums[0], sums[kLanes]);
      const std::complex<double> dy_s(sums[2 * kLanes], sums[3 * kLanes]);
      const std::complex<double> da =
          std::conj(c * dy_s) + std::complex<double>(direct[0], direct[kLanes]);
      args.dc(lane.channel, n) += std::complex<float>(std::conj(dy_h));
      args.da(lane.channel, n) += std::complex<float>(da);
    }
    if (lane.slice == 0 && !args.dd.absent()) {
      args.dd(lane.channel) += static_cast<float>(total.dd[index]);
    }
  });
}

void clear_sums(const LtiScanGradArgs<float>& args) {
  for (int64_t c = 0; c < args.a.extent(0); ++c) {
    for (int64_t n = 0; n < args.a.extent(1); ++n) args.da(c, n) = args.dc(c, n) = 0;
    if (!args.dd.absent()) args.dd(c) = 0;
  }
}

}  // namespace

size_t lti_scan_backward_cpu_bytes(int64_t batch, int64_t channels, int64_t modes) {
  const LtiTiling tiling(batch, channels, modes);
  const int64_t parts = Sharing(tiling).parts;
  return Workspace::bytes_for<float>(tiling.groups() * tiling.factor_size()) +
         Workspace::bytes_for<float>(tiling.groups() * parts * GradientSums::floats(tiling)) +
         Workspace::bytes_for<double>(tiling.groups() * parts * GradientSums::doubles(tiling));
}

void lti_scan_backward_cpu(const LtiScanGradArgs<float>& args, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const LtiTiling tiling(args.u.extent(0), args.u.extent(2), args.a.extent(1));
  const Sharing sharing(tiling);
  const int64_t groups = tiling.groups(), parts = sharing.parts;
  const int64_t floats = GradientSums::floats(tiling), doubles = GradientSums::doubles(tiling);
  const std::span<float> factors = workspace.take<float>(groups * tiling.factor_size());
  const std::span<float> states = workspace.take<float>(groups * parts * floats);
  const std::span<double> totals = workspace.take<double>(groups * parts * doubles);
  tiling.pack_factors(args.a, args.c, factors.data());
  std::fill(totals.begin(), totals.end(), 0.0);
  parallel_for(sharing.chunks * parts, 1, [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t first = item / parts * sharing.together, part = item % parts;
      const int64_t count = std::min(sharing.together, groups - first);
      const int64_t last = tiling.row_blocks() * (part + 1) / parts;
      for (int64_t row_block = tiling.row_blocks() * part / parts; row_block < last; ++row_block) {
        BackwardTile near[kTilesTogether];
        for (int64_t i = 0; i < count; ++i) {
          const int64_t group = first + i, place = group * parts + part;
          near[i] = BackwardTile(args, tiling, row_block, group,
                                 factors.data() + group * tiling.factor_size(),
                                 GradientSums(tiling, states.data() + place * floats,
                                              totals.data() + place * doubles));
        }
        backward_tiles({near, static_cast<size_t>(count)}, args.u.extent(1));
      }
    }
  });
  clear_sums(args);
  for (int64_t group = 0; group < groups; ++group) {
    double* total = totals.data() + group * parts * doubles;
    for (int64_t i = 1; i < parts; ++i) {
      for (int64_t k = 0; k < doubles; ++k) total[k] += total[i * doubles + k];
    }
    write_sums(args, tiling, group, GradientSums(tiling, nullptr, total));
  }
}

}  // namespace longwave::ops
