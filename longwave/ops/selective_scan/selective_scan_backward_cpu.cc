// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/selective_scan/selective_scan_cpu.h"
#include "longwave/ops/selective_scan/selective_tiling.h"
#include "longwave/ops/simd/flush_subnormals.h"

namespace longwave::ops {
namespace {

// Work items of a pass, if there are so many tiles.
constexpr int64_t kTargetItems = 32;
// Time is taken in passes, whose items leave parts of dB and dC that are then added up: long ones,
// since threads wait for each other between them, but with no more floats in parts than this unless
// passes became shorter than kShortestPass, a whole number of chunks.
constexpr int64_t kPartFloats = 1 << 19;
constexpr int64_t kShortestPass = 256;
static_assert(kShortestPass % kMaxSelectiveChunk == 0);
// Numbers that are worth waking another thread.
constexpr int64_t kGrain = 1 << 15;

SelectiveTiling backward_tiling(const SelectiveScanSize& size) {
  return {size, kTargetItems, size.channels};
}

// Steps of a pass, whole chunks; decided by the shapes alone.
int64_t pass_steps(const SelectiveTiling& tiling) {
  const int64_t row = std::max<int64_t>(1, tiling.items() * 2 * tiling.padded());
  return std::max(kShortestPass, kPartFloats / row / kMaxSelectiveChunk * kMaxSelectiveChunk);
}

// Scratch of the backward pass.
class Scratch {
 public:
  static size_t bytes(const SelectiveTiling& tiling) {
    const int64_t tiles = tiling.size().batch * tiling.tiles();
    return Workspace::bytes_for<float>(tiles * tiling.panel()) +
           Workspace::bytes_for<double>(tiles * sums(tiling)) +
           Workspace::bytes_for<float>(tiling.items() * part(tiling));
  }

  Scratch(const SelectiveTiling& tiling, Workspace& workspace)
      : tiling_(tiling),
        g_(workspace.take<float>(tiling.size().batch * tiling.tiles() * tiling.panel()).data()),
        sums_(workspace.take<double>(tiling.size().batch * tiling.tiles() * sums(tiling)).data()),
        parts_(workspace.take<float>(tiling.items() * part(tiling)).data()) {
    std::fill_n(sums_, tiling.size().batch * tiling.tiles() * sums(tiling), 0.0);
  }

  // Of one tile of a sequence: the gradient of its state, and its sums over time.
  float* g(int64_t b, int64_t tile) const {
    return g_ + (b * tiling_.tiles() + tile) * tiling_.panel();
  }
  double* dA(int64_t b, int64_t tile) const {
    return sums_ + (b * tiling_.tiles() + tile) * sums(tiling_);
  }
  double* dD(int64_t b, int64_t tile) const { return dA(b, tile) + tiling_.panel(); }
  double* ddt_bias(int64_t b, int64_t tile) const { return dD(b, tile) + kTileLanes; }

  // Of one item: its parts [pass steps][padded] of dB and dC in a pass.
  float* dB(int64_t item) const { return parts_ + item * part(tiling_); }
  float* dC(int64_t item) const { return dB(item) + part(tiling_) / 2; }
  void clear_parts(int64_t item, int64_t steps) const {
    std::fill_n(dB(item), steps * tiling_.padded(), 0.0f);
    std::fill_n(dC(item), steps * tiling_.padded(), 0.0f);
  }

 private:
  static int64_t sums(const SelectiveTiling& tiling) { return tiling.panel() + 2 * kTileLanes; }
  static int64_t part(const SelectiveTiling& tiling) {
    return 2 * pass_steps(tiling) * tiling.padded();
  }

  const SelectiveTiling& tiling_;
  float* g_;
  double* sums_;
  float* parts_;
};

// The backward pass over one set of operands.
class Backward {
 public:
  Backward(const SelectiveScanGradArgs<float>& args, const SelectiveTiling& tiling,
           Workspace& workspace)
      : args_(args),
        tiling_(tiling),
        factors_(tiling, args.in, workspace),
        scratch_(tiling, workspace) {}

  void run() const {
    const int64_t time = args_.in.u.extent(1), steps = pass_steps(tiling_);
    for_each_item([&](int64_t i) { start(tiling_.item(i)); });
    for (int64_t pass = (time + steps - 1) / steps - 1; pass >= 0; --pass) {
      const int64_t first = pass * steps, count = std::min(steps, time - first);
      for_each_item([&](int64_t i) { take_back(i, first, count); });
      add_parts(first, count);
    }
    for_each_item([&](int64_t i) { finish(tiling_.item(i)); });
    add_sums();
  }

 private:
  template <typename Body>
  void for_each_item(const Body& body) const {
    parallel_for(tiling_.items(), 1, [&](int64_t begin, int64_t end) {
      const FlushSubnormals flush;
      for (int64_t i = begin; i < end; ++i) body(i);
    });
  }

  // The gradient of the final state is where all begins.
  void start(const SelectiveTiling::Item& item) const {
    for (int64_t tile = item.first; tile < item.first + item.count; ++tile) {
      float* g = scratch_.g(item.b, tile);
      std::fill_n(g, tiling_.panel(), 0.0f);
      if (args_.dh.absent()) continue;
      const SelectiveTiling::Tile place = tiling_.tile(tile);
      for (int64_t c = 0; c < place.channels; ++c) {
        for (int64_t n = 0; n < args_.dh.extent(2); ++n) {
          g[n * kTileLanes + c] = args_.dh(item.b, place.first + c, n);
        }
      }
    }
  }

  // Takes an item's tiles, side by side, back through steps [first, first + count).
  void take_back(int64_t index, int64_t first, int64_t count) const {
    const SelectiveTiling::Item item = tiling_.item(index);
    const int64_t chunk = selective_scan_chunk(tiling_.size().state);
    scratch_.clear_parts(index, count);
    for (int64_t begin = first + (count - 1) / chunk * chunk; begin >= first; begin -= chunk) {
      const int64_t steps = std::min(chunk, first + count - begin);
      for (int64_t tile = item.first; tile < item.first + item.count; ++tile) {
        SelectiveBackwardChunk back =
            describe({.b = item.b, .tile = tile, .begin = begin, .time = steps});
        back.dB = scratch_.dB(index) + (begin - first) * tiling_.padded();
        back.dC = scratch_.dC(index) + (begin - first) * tiling_.padded();
        selective_backward_chunk(back);
      }
    }
  }

  SelectiveBackwardChunk describe(const SelectivePlace& place) const {
    const int64_t chunk = selective_scan_chunk(tiling_.size().state);
    const int64_t first = tiling_.tile(place.tile).first;
    SelectiveBackwardChunk back;
    back.in = tile_chunk(tiling_, args_.in, place);
    back.in.soon = -chunk;
    back.in.soon_count = place.begin > 0 ? place.time : 0;
    factors_.put(place.tile, back.in);
    back.h = rows_of(args_.states[place.b], place.begin / chunk, 0, first);
    back.h_soon = -args_.states.stride(1);
    back.dy = rows_of(args_.dy, place.b, place.begin, first);
    back.g = scratch_.g(place.b, place.tile);
    back.du = rows_of(args_.du, place.b, place.begin, first);
    back.ddt = rows_of(args_.ddt, place.b, place.begin, first);
    back.dz = rows_of(args_.dz, place.b, place.begin, first);
    back.dA = scratch_.dA(place.b, place.tile);
    back.dD = scratch_.dD(place.b, place.tile);
    back.ddt_bias = scratch_.ddt_bias(place.b, place.tile);
    return back;
  }

  // dB and dC of steps [first, first + count): the parts of a group's items in their order.
  void add_parts(int64_t first, int64_t count) const {
    const int64_t state = tiling_.size().state, groups = tiling_.size().groups;
    const int64_t rows = tiling_.size().batch * count, spans = tiling_.spans();
    const int64_t work = std::max<int64_t>(1, groups * spans * state);
    parallel_for(rows, std::max<int64_t>(1, kGrain / work), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t b = row / count, t = row % count;
        for (int64_t g = 0; g < groups; ++g) {
          for (int64_t n = 0; n < state; ++n) {
            float dB = 0, dC = 0;
            for (int64_t span = 0; span < spans; ++span) {
              const int64_t item = (b * groups + g) * spans + span;
              dB += scratch_.dB(item)[t * tiling_.padded() + n];
              dC += scratch_.dC(item)[t * tiling_.padded() + n];
            }
            args_.dB(b, first + t, g, n) = dB;
            args_.dC(b, first + t, g, n) = dC;
          }
        }
      }
    });
  }

  void finish(const SelectiveTiling::Item& item) const {
    for (int64_t tile = item.first; tile < item.first + item.count; ++tile) {
      const SelectiveTiling::Tile place = tiling_.tile(tile);
      const float* g = scratch_.g(item.b, tile);
      for (int64_t c = 0; c < place.channels; ++c) {
        for (int64_t n = 0; n < args_.dh0.extent(2); ++n) {
          args_.dh0(item.b, place.first + c, n) = g[n * kTileLanes + c];
        }
      }
    }
  }

  // dA, dD and ddt_bias: the sums of the sequences in their order.
  void add_sums() const {
    const int64_t batch = tiling_.size().batch;
    for (int64_t tile = 0; tile < tiling_.tiles(); ++tile) {
      const SelectiveTiling::Tile place = tiling_.tile(tile);
      for (int64_t c = 0; c < place.channels; ++c) {
        const auto total = [&](double* (Scratch::*sums)(int64_t, int64_t) const, int64_t at) {
          double sum = 0;
          for (int64_t b = 0; b < batch; ++b) sum += (scratch_.*sums)(b, tile)[at];
          return static_cast<float>(sum);
        };
        for (int64_t n = 0; n < tiling_.size().state; ++n) {
          args_.dA(place.first + c, n) = total(&Scratch::dA, n * kTileLanes + c);
        }
        if (!args_.dD.absent()) args_.dD(place.first + c) = total(&Scratch::dD, c);
        if (!args_.ddt_bias.absent()) {
          args_.ddt_bias(place.first + c) = total(&Scratch::ddt_bias, c);
        }
      }
    }
  }

  const SelectiveScanGradArgs<float>& args_;
  const SelectiveTiling& tiling_;
  SelectiveFactors factors_;
  Scratch scratch_;
};

}  // namespace

size_t selective_scan_backward_cpu_bytes(const SelectiveScanSize& size) {
  const SelectiveTiling tiling = backward_tiling(size);
  return SelectiveFactors::bytes(tiling) + Scratch::bytes(tiling);
}

void selective_scan_backward_cpu(const SelectiveScanGradArgs<float>& args, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const SelectiveTiling tiling = backward_tiling(
      {args.in.u.extent(0), args.in.u.extent(2), args.in.B.extent(2), args.in.A.extent(1)});
  Backward(args, tiling, workspace).run();
}

}  // namespace longwave::ops
