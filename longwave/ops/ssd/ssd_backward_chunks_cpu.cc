// SPDX-License-Identifier: Apache-2.0
//
// The part of the backward pass that takes each chunk alone, given the state S before it and the
// gradient G of the state after it. With matrices whose rows are steps, for each head:
//
//   M = C B^T, L[t, s] = decay(s to t), s <= t, W = M o L       K = L o (dy x^T) d[s]
//   dM = sum of K over the heads of a group
//   dC = dM B + sum of decay(to t) o (dy S)           =: dM B + sum of past
//   dB = dM^T C + sum of d decay(to the end) o (x G)  =: dM^T C + sum of future
//   z = W^T dy + decay(to the end) o (B G^T)          dx = d o z + D dy
//
// The gradient of the exponent of the decay at step t is the sum over all paths from a step before
// t to t or a step after it:
//
//   e[t] = sum_{t' >= t > s} M K [t', s] + sum_{t' >= t} past[t'] C[t']
//        + sum_{s < t} future[s] B[s] + decay(all) <G, S>
//
// all of which are sums without differences. Then dA = sum d e, dd = x z + A e.
#include <algorithm>

#include "longwave/base/parallel.h"
#include "longwave/ops/simd/flush_subnormals.h"
#include "longwave/ops/ssd/ssd_backward_cpu.h"
#include "longwave/ops/ssd/ssd_cpu.h"

namespace longwave::ops {
namespace {

constexpr int64_t kChunk = kSsdChunk;

// Scratch of one thread; without memory, only its size.
struct Tiles {
  float *B_rows, *C_rows;  // (kChunk, state) copies of strided operands
  float *dB, *dC, *part;   // (kChunk, state)
  float* B_transposed;     // (state, kChunk)
  float *M, *dM, *W;       // (kChunk, kChunk)
  float *x_rows, *dy_rows, *x, *dy, *z_rows, *dx_rows;  // (kChunk, head_dim)
  float *x_transposed, *z;                              // (head_dim, kChunk)
  float* D;                                             // (head_dim)
  int64_t floats = 0;

  Tiles(const SsdSize& size, float* memory) {
    const int64_t gain = kChunk * ssd_padded(size.state);
    const int64_t width = ssd_padded(size.head_dim);
    const auto take = [&](int64_t count) {
      float* at = memory == nullptr ? nullptr : memory + floats;
      floats += count;
      return at;
    };
    for (float** tile : {&B_rows, &C_rows, &dB, &dC, &part, &B_transposed}) *tile = take(gain);
    for (float** tile : {&M, &dM, &W}) *tile = take(kChunk * kChunk);
    for (float** tile : {&x_rows, &dy_rows, &x, &dy, &z_rows, &dx_rows, &x_transposed, &z}) {
      *tile = take(kChunk * width);
    }
    D = take(width);
  }
};

// One window of a group of heads of one sequence.
class Gradients {
 public:
  Gradients(const SsdGradArgs<float>& args, const SsdBackwardMemory& memory, const Tiles& tiles,
            int64_t first, int64_t s, int64_t group, int64_t window)
      : args_(args),
        memory_(memory),
        tiles_(tiles),
        b_(first + s),
        s_(s),
        group_(group),
        window_(window),
        share_(args.x.extent(2) / args.B.extent(2)),
        head_dim_(args.x.extent(3)),
        state_(args.B.extent(3)),
        width_(ssd_padded(head_dim_)) {}

  void run() {
    for (int64_t i = group_ * share_; i < (group_ + 1) * share_; ++i) {
      const auto sums = memory_.sums(b_, window_, i);
      *sums.A = *sums.bias = 0;
      std::fill_n(sums.D, width_, 0.0f);
    }
    SsdChunk next = at(memory_.first(s_, window_));
    while (next.count > 0 && next.begin < (window_ + 1) * kChunk) {
      chunk_ = next;
      next = at(chunk_.end());
      lasts_ = next.count == 0 || !next.fresh;
      prepare();
      for (int64_t i = group_ * share_; i < (group_ + 1) * share_; ++i) head(i);
      finish();
    }
  }

 private:
  SsdChunk at(int64_t begin) const {
    return ssd_chunk_at(args_.starts, b_, args_.x.extent(1), begin);
  }
  int64_t count() const { return chunk_.count; }
  int64_t padded() const { return ssd_padded(chunk_.count); }
  int64_t row() const { return memory_.row(); }

  // The state before the chunk and the gradient of that after it, where there are any.
  const float* state(int64_t i) const { return memory_.state(s_, i, chunk_.begin); }
  const float* gradient(int64_t i) const { return memory_.gradient(s_, i, chunk_.end()); }

  SsdSoon soon(const View<const float, 4>& view, int64_t i) const {
    return ssd_soon_next(view, b_, chunk_, i, group_ * share_, share_);
  }

  // What the heads of a group share.
  void prepare() {
    B_ = ssd_rows_of(args_.B, b_, chunk_, group_, SsdPadding::kWhole, tiles_.B_rows);
    C_ = ssd_rows_of(args_.C, b_, chunk_, group_, SsdPadding::kWhole, tiles_.C_rows);
    ssd_transpose({.rows = count(),
                   .columns = state_,
                   .in = B_.data,
                   .in_row = B_.row,
                   .out = tiles_.B_transposed,
                   .out_row = kChunk});
    ssd_product({.rows = count(),
                 .columns = padded(),
                 .depth = state_,
                 .a = C_.data,
                 .a_row = C_.row,
                 .b = tiles_.B_transposed,
                 .b_depth = kChunk,
                 .out = tiles_.M,
                 .out_row = kChunk,
                 .band = SsdBand::kLower});
    std::fill_n(tiles_.dM, kChunk * kChunk, 0.0f);
    std::fill_n(tiles_.dB, kChunk * row(), 0.0f);
    std::fill_n(tiles_.dC, kChunk * row(), 0.0f);
  }

  void head(int64_t i) {
    const SsdRows x = rows_of(args_.x, i, tiles_.x_rows, tiles_.x);
    const SsdRows dy = rows_of(args_.dy, i, tiles_.dy_rows, tiles_.dy);
    ssd_chunk_decays(args_, b_, chunk_, i, decays_);
    ssd_transpose({.rows = count(),
                   .columns = head_dim_,
                   .in = x.data,
                   .in_row = x.row,
                   .out = tiles_.x_transposed,
                   .out_row = kChunk});
    ssd_product({.rows = count(),
                 .columns = padded(),
                 .depth = head_dim_,
                 .a = dy.data,
                 .a_row = dy.row,
                 .b = tiles_.x_transposed,
                 .b_depth = kChunk,
                 .out = tiles_.W,
                 .out_row = kChunk,
                 .band = SsdBand::kLower,
                 .soon = {state(i), row(), head_dim_, row()}});
    ssd_mask_grad({.count = count(),
                   .decays = &decays_,
                   .M = tiles_.M,
                   .G = tiles_.W,
                   .W = tiles_.W,
                   .dM = tiles_.dM,
                   .e = e_});
    past(i, dy);
    future(i, x);
    input(i, x, dy);
    steps(i);
  }

  // A dense copy of the rows: their own stride may map them all to a few sets of the cache.
  SsdRows rows_of(const View<const float, 4>& view, int64_t i, float* scratch, float* out) const {
    ssd_scale_rows({.rows = count(),
                    .columns = head_dim_,
                    .in = ssd_rows_of(view, b_, chunk_, i, SsdPadding::kAny, scratch),
                    .out = out,
                    .out_row = width_});
    return {out, width_};
  }

  // What the readout owes to the state before the chunk.
  void past(int64_t i, const SsdRows& dy) {
    std::fill_n(past_, kChunk, 0.0f);
    if (chunk_.fresh) return;
    ssd_product({.rows = count(),
                 .columns = row(),
                 .depth = head_dim_,
                 .a = dy.data,
                 .a_row = dy.row,
                 .b = state(i),
                 .b_depth = row(),
                 .out = tiles_.part,
                 .out_row = row(),
                 .soon = {gradient(i), row(), head_dim_, row()}});
    ssd_dot_rows({.rows = count(),
                  .columns = row(),
                  .in = {tiles_.part, row()},
                  .with = C_,
                  .scale = decays_.decay,
                  .out = tiles_.dC,
                  .out_row = row(),
                  .dot = past_});
  }

  // What the state after the chunk owes to its inputs. Leaves B G^T in z.
  void future(int64_t i, const SsdRows& x) {
    std::fill_n(future_, kChunk, 0.0f);
    if (!lasts_) return;
    const float* G = gradient(i);
    ssd_product({.rows = count(),
                 .columns = row(),
                 .depth = head_dim_,
                 .a = x.data,
                 .a_row = x.row,
                 .b = G,
                 .b_depth = row(),
                 .out = tiles_.part,
                 .out_row = row(),
                 .soon = ssd_soon(args_.dx, b_, chunk_, i)});
    alignas(64) float scale[kChunk];
    for (int64_t t = 0; t < kChunk; ++t) scale[t] = decays_.d[t] * decays_.rest[t];
    ssd_dot_rows({.rows = count(),
                  .columns = row(),
                  .in = {tiles_.part, row()},
                  .with = B_,
                  .scale = scale,
                  .out = tiles_.dB,
                  .out_row = row(),
                  .dot = future_});
    ssd_product({.rows = head_dim_,
                 .columns = padded(),
                 .depth = state_,
                 .a = G,
                 .a_row = row(),
                 .b = tiles_.B_transposed,
                 .b_depth = kChunk,
                 .out = tiles_.z,
                 .out_row = kChunk,
                 .soon = soon(args_.x, i)});
  }

  // The gradient of x, and x z for the gradient of d.
  void input(int64_t i, const SsdRows& x, const SsdRows& dy) {
    ssd_product({.rows = head_dim_,
                 .columns = padded(),
                 .depth = count(),
                 .a = dy.data,
                 .a_depth = dy.row,
                 .b = tiles_.W,
                 .b_depth = kChunk,
                 .out = tiles_.z,
                 .out_row = kChunk,
                 .in = lasts_ ? tiles_.z : nullptr,
                 .column_scale = decays_.rest,
                 .band = SsdBand::kDepthFromColumn,
                 .soon = soon(args_.dy, i)});
    ssd_dot_columns(head_dim_, padded(), tiles_.x_transposed, tiles_.z, xz_);
    ssd_transpose({.rows = head_dim_,
                   .columns = count(),
                   .in = tiles_.z,
                   .in_row = kChunk,
                   .out = tiles_.z_rows,
                   .out_row = width_});
    const SsdOutRows dx(args_.dx, b_, chunk_, i, tiles_.dx_rows);
    ssd_skip_rows({.rows = count(),
                   .columns = head_dim_,
                   .in = {tiles_.z_rows, width_},
                   .scale = decays_.d,
                   .D = ssd_skip_row(args_.D, i, head_dim_, tiles_.D),
                   .x = dy,
                   .out = dx.data(),
                   .out_row = dx.row(),
                   .z = x,
                   .dD = args_.dD.absent() ? nullptr : memory_.sums(b_, window_, i).D});
    dx.finish();
  }

  // The gradients of dt, its bias and A.
  void steps(int64_t i) {
    const auto sums = memory_.sums(b_, window_, i);
    double later = 0, before = 0;
    if (lasts_ && !chunk_.fresh) {
      later = decays_.total * ssd_dot(head_dim_ * row(), gradient(i), state(i));
    }
    for (int64_t t = 0; t < count(); ++t) {
      e_[t] += static_cast<float>(before);
      before += future_[t];
    }
    float raw[kChunk], dd[kChunk];
    for (int64_t t = count() - 1; t >= 0; --t) {
      later += past_[t];
      const double e = e_[t] + later;
      *sums.A += decays_.d[t] * e;
      dd[t] = static_cast<float>(xz_[t] + args_.A(i) * e);
    }
    ssd_chunk_raw_steps(args_, b_, chunk_, i, raw);
    ssd_step_sizes_grad(count(), raw, args_.limits, dd);
    for (int64_t t = 0; t < count(); ++t) {
      args_.ddt(b_, chunk_.begin + t, i) = dd[t];
      *sums.bias += dd[t];
    }
  }

  // The parts of dB and dC that pass within the chunk, for all heads at once.
  void finish() {
    ssd_product({.rows = count(),
                 .columns = row(),
                 .depth = count(),
                 .a = tiles_.dM,
                 .a_row = kChunk,
                 .b = B_.data,
                 .b_depth = B_.row,
                 .out = tiles_.dC,
                 .out_row = row(),
                 .in = tiles_.dC,
                 .band = SsdBand::kDepthToRow});
    ssd_product({.rows = count(),
                 .columns = row(),
                 .depth = count(),
                 .a = tiles_.dM,
                 .a_depth = kChunk,
                 .b = C_.data,
                 .b_depth = C_.row,
                 .out = tiles_.dB,
                 .out_row = row(),
                 .in = tiles_.dB,
                 .band = SsdBand::kDepthFromRow});
    for (int64_t t = 0; t < count(); ++t) {
      for (int64_t n = 0; n < state_; ++n) {
        args_.dB(b_, chunk_.begin + t, group_, n) = tiles_.dB[t * row() + n];
        args_.dC(b_, chunk_.begin + t, group_, n) = tiles_.dC[t * row() + n];
      }
    }
  }

  const SsdGradArgs<float>& args_;
  const SsdBackwardMemory& memory_;
  const Tiles& tiles_;
  int64_t b_, s_, group_, window_, share_, head_dim_, state_, width_;
  SsdChunk chunk_;
  bool lasts_ = false;  // whether the state after the chunk matters to anything
  SsdRows B_, C_;
  SsdDecays decays_;
  // One number a step, see the top of this file.
  float e_[kChunk], past_[kChunk], future_[kChunk], xz_[kChunk];
};

}  // namespace

int64_t ssd_backward_chunks_floats(const SsdSize& size) { return Tiles(size, nullptr).floats; }

void ssd_backward_chunks_cpu(const SsdGradArgs<float>& args, const SsdBackwardPart& part,
                             const SsdBackwardMemory& memory, Workspace& workspace) {
  const Workspace::Scope scope(workspace);
  const SsdSize size = ssd_size_of(args);
  const int64_t first = part.segment * SsdBackwardMemory::kSegment;
  const int64_t windows = std::min(SsdBackwardMemory::kSegment, memory.windows() - first);
  const int64_t items = part.count * size.groups * windows;
  const int64_t floats = ssd_backward_chunks_floats(size);
  const int64_t workers = ssd_workers(workspace, items, floats);
  float* scratch = workspace.take<float>(workers * floats).data();
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t w = begin; w < end; ++w) {
      const Tiles tiles(size, scratch + w * floats);
      for (int64_t i = items * w / workers; i < items * (w + 1) / workers; ++i) {
        const int64_t window = first + i % windows, group = i / windows % size.groups;
        const int64_t s = i / windows / size.groups;
        Gradients(args, memory, tiles, part.b, s, group, window).run();
      }
    }
  });
}

}  // namespace longwave::ops
