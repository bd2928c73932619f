// SPDX-License-Identifier: Apache-2.0
//
// The part of the backward pass that goes from chunk to chunk. For one head, with matrices whose
// rows are steps, S the state before a chunk and G the gradient of the state after it:
//
//   S' = decay(all) S + (d decay(to the end) o x)^T B         forward in time
//   G' = decay(all) G + (decay(to t) o dy)^T C                backward in time
#include <algorithm>
#include <array>

#include "longwave/base/parallel.h"
#include "longwave/ops/simd/flush_subnormals.h"
#include "longwave/ops/ssd/ssd_backward_cpu.h"
#include "longwave/ops/ssd/ssd_cpu.h"

namespace longwave::ops {
namespace {

constexpr int64_t kChunk = kSsdChunk;

// Scratch of one thread; without memory, only its size.
struct Tiles {
  float *rows, *scaled;  // (kChunk, head_dim)
  float* gains;          // (kChunk, state)
  int64_t floats = 0;

  Tiles(const SsdSize& size, float* memory) {
    const auto take = [&](int64_t count) {
      float* at = memory == nullptr ? nullptr : memory + floats;
      floats += count;
      return at;
    };
    rows = take(kChunk * ssd_padded(size.head_dim));
    scaled = take(kChunk * ssd_padded(size.head_dim));
    gains = take(kChunk * ssd_padded(size.state));
  }
};

// One head of one sequence.
class States {
 public:
  States(const SsdGradArgs<float>& args, const SsdBackwardMemory& memory, const Tiles& tiles,
         int64_t first, int64_t s, int64_t i)
      : args_(args), memory_(memory), tiles_(tiles), b_(first + s), s_(s), i_(i) {}

  void run(int64_t segment) {
    const int64_t begin = segment * SsdBackwardMemory::kSegment;
    const int64_t end = std::min(begin + SsdBackwardMemory::kSegment, memory_.windows());
    if (segment + 1 == memory_.segments()) {
      if (end > 0) copy_in(args_.h0, memory_.state(s_, i_, 0));
      forward(0, end);
    } else if (segment > 0) {
      std::ranges::copy(memory_.entry(s_, i_, segment), memory_.state(s_, i_, begin * kChunk));
      forward(begin, end);
    } else {
      copy_in(args_.h0, memory_.state(s_, i_, 0));
      forward(begin, end);
    }
    backward(begin, end);
  }

 private:
  // States before all chunks of windows [begin, end) but the first, and entries of segments.
  void forward(int64_t begin, int64_t end) {
    if (begin == end) return;
    SsdChunk next = at(memory_.first(s_, begin));
    while (next.count > 0) {
      const SsdChunk chunk = next;
      next = at(chunk.end());
      const int64_t window = next.begin / kChunk;
      if (next.count == 0 || window >= end) return;
      // What is forgotten need not be known.
      if (next.fresh) continue;
      decays(chunk);
      for (int64_t t = 0; t < chunk.count; ++t) decays_.rest[t] *= decays_.d[t];
      product(chunk, args_.x, decays_.rest, args_.B, chunk.fresh ? nullptr : state(chunk),
              state(next), next);
      if (window % SsdBackwardMemory::kSegment != 0) continue;
      const std::span<float> entry = memory_.entry(s_, i_, window / SsdBackwardMemory::kSegment);
      std::copy_n(state(next), entry.size(), entry.data());
    }
  }

  // Gradients of the states before and after all chunks of windows [begin, end).
  void backward(int64_t begin, int64_t end) {
    bool known = true;  // whether anything comes to the chunk from later steps
    if (end == memory_.windows()) {
      copy_in(args_.dh, memory_.gradient(s_, i_, args_.x.extent(1)));
    } else {
      known = !at(memory_.first(s_, end)).fresh;
    }
    bool reaches = true;  // whether anything gets from it to earlier ones
    for (int64_t w = end - 1; w >= begin; --w) {
      std::array<SsdChunk, kChunk> chunks;
      int64_t count = 0;
      for (SsdChunk c = at(memory_.first(s_, w)); c.count > 0 && c.begin < (w + 1) * kChunk;
           c = at(c.end())) {
        chunks[count++] = c;
      }
      while (count > 0) {
        const SsdChunk chunk = chunks[--count];
        reaches = !chunk.fresh;
        if (reaches) {
          decays(chunk);
          product(chunk, args_.dy, decays_.decay, args_.C,
                  known ? memory_.gradient(s_, i_, chunk.end()) : nullptr,
                  memory_.gradient(s_, i_, chunk.begin), before(chunk));
        }
        known = reaches;
      }
    }
    if (begin == 0) copy_out(reaches ? memory_.gradient(s_, i_, 0) : nullptr);
  }

  SsdChunk at(int64_t begin) const {
    return ssd_chunk_at(args_.starts, b_, args_.x.extent(1), begin);
  }
  float* state(const SsdChunk& chunk) const { return memory_.state(s_, i_, chunk.begin); }

  void decays(const SsdChunk& chunk) { ssd_chunk_decays(args_, b_, chunk, i_, decays_); }

  // As many steps as a chunk has at most, up to one.
  static SsdChunk before(const SsdChunk& chunk) {
    const int64_t count = std::min(kChunk, chunk.begin);
    return {.begin = chunk.begin - count, .count = count};
  }

  // out = decay(all) in + (scale o rows)^T gains; `soon` are the steps that come next
  void product(const SsdChunk& chunk, const View<const float, 4>& rows, const float* scale,
               const View<const float, 4>& gains, const float* in, float* out,
               const SsdChunk& soon) {
    const int64_t width = ssd_padded(args_.x.extent(3));
    const int64_t group = i_ / (args_.x.extent(2) / args_.B.extent(2));
    const SsdRows b = ssd_rows_of(gains, b_, chunk, group, SsdPadding::kWhole, tiles_.gains);
    ssd_scale_rows({.rows = chunk.count,
                    .columns = args_.x.extent(3),
                    .in = ssd_rows_of(rows, b_, chunk, i_, SsdPadding::kAny, tiles_.rows),
                    .scale = scale,
                    .out = tiles_.scaled,
                    .out_row = width});
    ssd_product({.rows = args_.x.extent(3),
                 .columns = memory_.row(),
                 .depth = chunk.count,
                 .a = tiles_.scaled,
                 .a_depth = width,
                 .b = b.data,
                 .b_depth = b.row,
                 .out = out,
                 .out_row = memory_.row(),
                 .in = in,
                 .scale = decays_.total,
                 .soon = ssd_soon(rows, b_, soon, i_)});
  }

  void copy_in(const View<const float, 4>& from, float* to) const {
    const int64_t state = args_.B.extent(3), row = memory_.row();
    for (int64_t p = 0; p < args_.x.extent(3) && to != nullptr; ++p, to += row) {
      std::fill(to, to + row, 0.0f);
      for (int64_t n = 0; n < state && !from.absent(); ++n) to[n] = from(b_, i_, p, n);
    }
  }

  void copy_out(const float* from) const {
    for (int64_t p = 0; p < args_.x.extent(3); ++p) {
      for (int64_t n = 0; n < args_.B.extent(3); ++n) {
        args_.dh0(b_, i_, p, n) = from == nullptr ? 0.0f : from[p * memory_.row() + n];
      }
    }
  }

  const SsdGradArgs<float>& args_;
  const SsdBackwardMemory& memory_;
  const Tiles& tiles_;
  int64_t b_, s_, i_;
  SsdDecays decays_;
};

void find_chunks(const SsdGradArgs<float>& args, int64_t b, int64_t s,
                 const SsdBackwardMemory& memory) {
  int64_t begin = 0;
  for (int64_t w = 0; w < memory.windows(); ++w) {
    while (begin < w * kChunk) {
      begin = ssd_chunk_at(args.starts, b + s, args.x.extent(1), begin).end();
    }
    memory.first(s, w) = begin;
  }
}

}  // namespace

int64_t ssd_backward_states_floats(const SsdSize& size) { return Tiles(size, nullptr).floats; }

void ssd_backward_states_cpu(const SsdGradArgs<float>& args, const SsdBackwardPart& part,
                             const SsdBackwardMemory& memory, Workspace& workspace) {
  if (part.segment + 1 == memory.segments()) {
    for (int64_t s = 0; s < part.count; ++s) find_chunks(args, part.b, s, memory);
  }
  const Workspace::Scope scope(workspace);
  const SsdSize size = ssd_size_of(args);
  const int64_t items = part.count * size.heads, floats = ssd_backward_states_floats(size);
  const int64_t workers = ssd_workers(workspace, items, floats);
  float* scratch = workspace.take<float>(workers * floats).data();
  parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
    const FlushSubnormals flush;
    for (int64_t w = begin; w < end; ++w) {
      const Tiles tiles(size, scratch + w * floats);
      for (int64_t i = items * w / workers; i < items * (w + 1) / workers; ++i) {
        States(args, memory, tiles, part.b, i / size.heads, i % size.heads).run(part.segment);
      }
    }
  });
}

}  // namespace longwave::ops
