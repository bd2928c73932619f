// SPDX-License-Identifier: Apache-2.0
//
// The chunked form of ssd. In one chunk, for one head, with matrices whose rows are steps:
//
//   M = C B^T                                   once for all heads of a group
//   W[t, s] = M[t, s] decay(s to t), s <= t     X[s] = d[s] x[s]
//   Y = decay(to t) o (C H) + W X               H: (state, head_dim), the state before the chunk
//   H = decay(all) H + B^T (decay(to the end) o X)
#include <algorithm>
#include <array>

#include "longwave/base/parallel.h"
#include "longwave/ops/simd/flush_subnormals.h"
#include "longwave/ops/ssd/ssd_chunks.h"
#include "longwave/ops/ssd/ssd_cpu.h"
#include "longwave/ops/ssd/ssd_ref.h"

namespace longwave::ops {
namespace {

constexpr int64_t kChunk = kSsdChunk;

// How heads of a group are split among items of work; changes speed only.
int64_t heads_together(const SsdSize& size) {
  const int64_t share = size.heads / size.groups;
  const int64_t whole = std::max<int64_t>(size.batch * size.groups, 1);
  const int64_t parts = std::clamp<int64_t>(2 * thread_count() / whole, 1, share);
  return (share + parts - 1) / parts;
}

// Scratch of one thread; without memory, only its size.
struct Tiles {
  float *B_transposed, *B, *C;  // (state, kChunk); (kChunk, state) copies of strided operands
  float *M, *W;                 // (kChunk, kChunk)
  float *x, *X, *Y, *y;         // (kChunk, head_dim)
  float* H;                     // (heads together, state, head_dim)
  float* D;                     // (head_dim)
  int64_t floats = 0;

  Tiles(const SsdSize& size, float* memory) {
    const int64_t width = ssd_padded(size.head_dim), gain = kChunk * ssd_padded(size.state);
    const auto take = [&](int64_t count) {
      float* at = memory == nullptr ? nullptr : memory + floats;
      floats += ssd_padded(count);
      return at;
    };
    for (float** matrix : {&B_transposed, &B, &C}) *matrix = take(gain);
    for (float** matrix : {&M, &W}) *matrix = take(kChunk * kChunk);
    for (float** matrix : {&x, &X, &Y, &y}) *matrix = take(kChunk * width);
    H = take(heads_together(size) * size.state * width);
    D = take(width);
  }
};

// Heads [first, first + count) of one sequence, all of one group, on their way through time.
class Forward {
 public:
  Forward(const SsdArgs<float>& args, const Tiles& tiles, int64_t b, int64_t first, int64_t count)
      : args_(args),
        tiles_(tiles),
        b_(b),
        first_(first),
        count_(count),
        group_(first / (args.x.extent(2) / args.B.extent(2))),
        width_(ssd_padded(args.x.extent(3))) {}

  void run() {
    const int64_t time = args_.x.extent(1);
    copy_state([](float h, float& H) { H = h; });
    for (SsdChunk chunk = ssd_chunk_at(args_.starts, b_, time, 0); chunk.count > 0;
         chunk = ssd_chunk_at(args_.starts, b_, time, chunk.end())) {
      prepare(chunk);
      for (int64_t i = 0; i < count_; ++i) head(chunk, i);
    }
    copy_state([](float& h, float H) { h = H; });
  }

 private:
  float* state(int64_t i) const { return tiles_.H + i * args_.B.extent(3) * width_; }

  // Calls body(h, H) for every number of the state and its place in scratch.
  template <typename Body>
  void copy_state(const Body& body) const {
    for (int64_t i = 0; i < count_; ++i) {
      for (int64_t n = 0; n < args_.B.extent(3); ++n) {
        float* H = state(i) + n * width_;
        for (int64_t p = 0; p < args_.x.extent(3); ++p) body(args_.h(b_, first_ + i, p, n), H[p]);
        std::fill(H + args_.x.extent(3), H + width_, 0.0f);
      }
    }
  }

  // What the heads of a group share.
  void prepare(const SsdChunk& chunk) {
    const int64_t n = args_.B.extent(3);
    B_ = ssd_rows_of(args_.B, b_, chunk, group_, SsdPadding::kAny, tiles_.B);
    C_ = ssd_rows_of(args_.C, b_, chunk, group_, SsdPadding::kAny, tiles_.C);
    ssd_transpose({.rows = chunk.count,
                   .columns = n,
                   .in = B_.data,
                   .in_row = B_.row,
                   .out = tiles_.B_transposed,
                   .out_row = kChunk});
    ssd_product({.rows = chunk.count,
                 .columns = ssd_padded(chunk.count),
                 .depth = n,
                 .a = C_.data,
                 .a_row = C_.row,
                 .b = tiles_.B_transposed,
                 .b_depth = kChunk,
                 .out = tiles_.M,
                 .out_row = kChunk,
                 .band = SsdBand::kLower});
  }

  void head(const SsdChunk& chunk, int64_t i) {
    const int64_t columns = args_.x.extent(3), n = args_.B.extent(3);
    const SsdRows x = ssd_rows_of(args_.x, b_, chunk, first_ + i, SsdPadding::kAny, tiles_.x);
    float *X = tiles_.X, *Y = tiles_.Y, *H = state(i);
    ssd_chunk_decays(args_, b_, chunk, first_ + i, decays_);
    ssd_mask(chunk.count, decays_, tiles_.M, tiles_.W);
    ssd_scale_rows({.rows = chunk.count,
                    .columns = columns,
                    .in = x,
                    .scale = decays_.d,
                    .out = X,
                    .out_row = width_});
    SsdProduct product{.rows = chunk.count, .columns = width_, .out = Y, .out_row = width_};
    if (!chunk.fresh) {
      product.depth = n;
      product.a = C_.data, product.a_row = C_.row;
      product.b = H, product.b_depth = width_;
      ssd_product(product);
      product.in = Y;
      product.row_scale = decays_.decay;
    }
    product.soon = ssd_soon(args_.y, b_, chunk, first_ + i);
    product.depth = chunk.count;
    product.a = tiles_.W, product.a_row = kChunk;
    product.b = X, product.b_depth = width_;
    product.band = SsdBand::kDepthToRow;
    ssd_product(product);
    const SsdOutRows y(args_.y, b_, chunk, first_ + i, tiles_.y);
    ssd_skip_rows({.rows = chunk.count,
                   .columns = columns,
                   .in = {Y, width_},
                   .D = ssd_skip_row(args_.D, first_ + i, columns, tiles_.D),
                   .x = x,
                   .out = y.data(),
                   .out_row = y.row()});
    y.finish();
    ssd_scale_rows({.rows = chunk.count,
                    .columns = columns,
                    .in = {X, width_},
                    .scale = decays_.rest,
                    .out = X,
                    .out_row = width_});
    ssd_product({.rows = n,
                 .columns = width_,
                 .depth = chunk.count,
                 .a = B_.data,
                 .a_depth = B_.row,
                 .b = X,
                 .b_depth = width_,
                 .out = H,
                 .out_row = width_,
                 .in = chunk.fresh ? nullptr : H,
                 .scale = decays_.total,
                 .soon = ssd_soon_next(args_.x, b_, chunk, first_ + i, first_, count_)});
  }

  const SsdArgs<float>& args_;
  const Tiles& tiles_;
  int64_t b_, first_, count_, group_, width_;
  SsdRows B_, C_;
  SsdDecays decays_;
};

}  // namespace

size_t ssd_forward_cpu_bytes(const SsdSize& size) {
  if (size.heads == 0) return 0;
  return Workspace::bytes_for<float>(thread_count() * Tiles(size, nullptr).floats);
}

void ssd_forward_cpu(const SsdArgs<float>& args, Workspace& workspace) {
  if (args.x.size() == 0) return;
  const SsdSize size = ssd_size_of(args);
  const Workspace::Scope scope(workspace);
  const int64_t share = size.heads / size.groups, together = heads_together(size);
  const int64_t parts = (share + together - 1) / together;
  const int64_t items = size.batch * size.groups * parts;
  const int64_t floats = Tiles(size, nullptr).floats;
  const int64_t workers = ssd_workers(workspace, items, floats);
  float* memory = workspace.take<float>(workers * floats).data();
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t w = begin; w < end; ++w) {
      const Tiles tiles(size, memory + w * floats);
      for (int64_t i = items * w / workers; i < items * (w + 1) / workers; ++i) {
        const int64_t part = i % parts, group = i / parts % size.groups;
        const int64_t first = part * together, count = std::min(together, share - first);
        Forward(args, tiles, i / parts / size.groups, group * share + first, count).run();
      }
    }
  });
}

}  // namespace longwave::ops
