// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/lti_scan/lti_blocks.h"
#include "longwave/ops/lti_scan/lti_scan_cpu.h"
#include "longwave/ops/lti_scan/lti_tiling.h"
#include "longwave/ops/simd/flush_subnormals.h"

namespace longwave::ops {
namespace {

constexpr int64_t kLanes = LtiTiling::kLanes;
constexpr int64_t kComplex = LtiTiling::kComplex;
// Work items that are wanted: enough to keep many threads busy.
constexpr int64_t kTargetItems = 32;

using Panel = float[kLtiScanBlock * kLanes];

// Scratch of one work item: the sums over time of some rows of one group.
struct GradientSums {
  static int64_t floats(const LtiTiling& tiling) { return 3 * tiling.lane_modes() * kComplex; }
  static int64_t doubles(const LtiTiling& tiling) {
    return 3 * tiling.lane_modes() * kComplex + kLanes;
  }

  GradientSums(const LtiTiling& tiling, float* states, double* totals)
      : hs(states),
        g(states + 2 * tiling.lane_modes() * kComplex),
        sums(totals),
        da(totals + 2 * tiling.lane_modes() * kComplex),
        dd(totals + 3 * tiling.lane_modes() * kComplex) {}

  float* hs;     // (lane_modes, 4, lanes) h and s
  float* g;      // (lane_modes, 2, lanes)
  double* sums;  // (lane_modes, 4, lanes) of dy h and dy s
  double* da;    // (lane_modes, 2, lanes) dh conj(s[time-1])
  double* dd;    // (lanes)
};

// How many items share the rows of a group: decided by shapes alone.
int64_t parts_of(const LtiTiling& tiling) {
  const int64_t groups = std::max<int64_t>(1, tiling.groups());
  const int64_t wanted = (kTargetItems + groups - 1) / groups;
  return std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, tiling.row_blocks()));
}

class BackwardTile {
 public:
  BackwardTile(const LtiScanGradArgs<float>& args, const LtiTiling& tiling, int64_t row_block,
               int64_t group)
      : args_(args), tiling_(tiling), row_block_(row_block), group_(group) {
    tiling.pack_skip(group, args.d, skip_);
  }

  // dc, dd and da, forward in time.
  void add_sums(const float* factors, const GradientSums& scratch) {
    tiling_.pack(row_block_, group_, 2 * kComplex, scratch.hs,
                 [&](const LtiTiling::Lane& lane, int64_t n) {
                   return args_.h0(lane.row, lane.channel, n);
                 });
    tiling_.pack(row_block_, group_, 2 * kComplex, scratch.hs + kComplex,
                 [](const LtiTiling::Lane&, int64_t) { return std::complex<float>(0); });
    LtiSumsBlock block;
    start(block, factors);
    block.u = first_;
    block.dy = second_;
    block.hs = scratch.hs;
    block.sums = scratch.sums;
    block.dd = scratch.dd;
    const int64_t time = args_.u.extent(1);
    for (int64_t begin = 0; begin < time; begin += kLtiScanBlock) {
      block.time = std::min(kLtiScanBlock, time - begin);
      tiling_.load(args_.u, row_block_, group_, begin, block.time, first_);
      tiling_.load(args_.dy, row_block_, group_, begin, block.time, second_);
      block.soon[0] = soon(args_.u, begin + kLtiScanBlock);
      block.soon[1] = soon(args_.dy, begin + kLtiScanBlock);
      lti_sums_block(block);
    }
    if (!args_.dh.absent()) add_final_state(scratch);
  }

  // du and dh0, backward in time.
  void adjoint(const float* factors, const GradientSums& scratch) {
    tiling_.pack(row_block_, group_, kComplex, scratch.g,
                 [&](const LtiTiling::Lane& lane, int64_t n) {
                   return args_.dh.absent() ? 0 : args_.dh(lane.row, lane.channel, n);
                 });
    LtiAdjointBlock block;
    start(block, factors);
    block.dy = first_;
    block.g = scratch.g;
    block.du = second_;
    const int64_t time = args_.u.extent(1);
    const int64_t blocks = (time + kLtiScanBlock - 1) / kLtiScanBlock;
    for (int64_t i = blocks - 1; i >= 0; --i) {
      const int64_t begin = i * kLtiScanBlock;
      block.time = std::min(kLtiScanBlock, time - begin);
      tiling_.load(args_.dy, row_block_, group_, begin, block.time, first_);
      block.soon[0] = soon(args_.dy, begin - kLtiScanBlock);
      block.soon[1] = soon(args_.du, begin);
      lti_adjoint_block(block);
      tiling_.store(second_, row_block_, group_, begin, block.time, args_.du);
    }
    tiling_.unpack(scratch.g, row_block_, group_,
                   [&](const LtiTiling::Lane& lane, int64_t n, std::complex<float> value) {
                     args_.dh0(lane.row, lane.channel, n) = value;
                   });
  }

 private:
  SoonRows soon(View<const float, 3> signal, int64_t begin) const {
    return tiling_.soon(signal, row_block_, group_, begin, kLtiScanBlock);
  }

  void start(LtiBlock& block, const float* factors) const {
    block.modes = tiling_.lane_modes();
    block.factors = factors;
    block.d = skip_;
  }

  void add_final_state(const GradientSums& scratch) const {
    tiling_.for_each_lane(row_block_, group_, [&](int64_t index, const LtiTiling::Lane& lane) {
      for (int64_t m = 0; tiling_.mode(m, lane.slice) < tiling_.modes(); ++m) {
        const float* s = scratch.hs + m * 2 * kComplex + kComplex + index;
        const std::complex<double> dh =
            args_.dh(lane.row, lane.channel, tiling_.mode(m, lane.slice));
        const std::complex<double> da = dh * std::complex<double>(s[0], -s[kLanes]);
        scratch.da[m * kComplex + index] += da.real();
        scratch.da[m * kComplex + kLanes + index] += da.imag();
      }
    });
  }

  const LtiScanGradArgs<float>& args_;
  const LtiTiling& tiling_;
  int64_t row_block_, group_;
  alignas(64) float skip_[kLanes];
  alignas(64) Panel first_, second_;
};

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
  const int64_t items = tiling.groups() * parts_of(tiling);
  return Workspace::bytes_for<float>(tiling.groups() * tiling.factor_size()) +
         Workspace::bytes_for<float>(items * GradientSums::floats(tiling)) +
         Workspace::bytes_for<double>(items * GradientSums::doubles(tiling));
}

void lti_scan_backward_cpu(const LtiScanGradArgs<float>& args, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const LtiTiling tiling(args.u.extent(0), args.u.extent(2), args.a.extent(1));
  const int64_t parts = parts_of(tiling), items = tiling.groups() * parts;
  const int64_t floats = GradientSums::floats(tiling), doubles = GradientSums::doubles(tiling);
  const std::span<float> factors = workspace.take<float>(tiling.groups() * tiling.factor_size());
  const std::span<float> states = workspace.take<float>(items * floats);
  const std::span<double> totals = workspace.take<double>(items * doubles);
  tiling.pack_factors(args.a, args.c, factors.data());
  std::fill(totals.begin(), totals.end(), 0.0);
  parallel_for(items, 1, [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t group = item / parts, part = item % parts;
      const float* group_factors = factors.data() + group * tiling.factor_size();
      const GradientSums scratch(tiling, states.data() + item * floats,
                                 totals.data() + item * doubles);
      const int64_t last = tiling.row_blocks() * (part + 1) / parts;
      for (int64_t row_block = tiling.row_blocks() * part / parts; row_block < last; ++row_block) {
        BackwardTile tile(args, tiling, row_block, group);
        tile.add_sums(group_factors, scratch);
        tile.adjoint(group_factors, scratch);
      }
    }
  });
  clear_sums(args);
  for (int64_t group = 0; group < tiling.groups(); ++group) {
    double* total = totals.data() + group * parts * doubles;
    for (int64_t i = 1; i < parts; ++i) {
      for (int64_t k = 0; k < doubles; ++k) total[k] += total[i * doubles + k];
    }
    write_sums(args, tiling, group, GradientSums(tiling, nullptr, total));
  }
}

}  // namespace longwave::ops
