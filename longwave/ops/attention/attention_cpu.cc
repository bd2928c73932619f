// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/attention/attention_cpu.h"

#include <cmath>
#include <limits>

#include "longwave/ops/simd/flush_subnormals.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/attention/attention_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/attention/attention_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Scratch of one thread. Scores lie with the rows (queries) adjacent, so that maxima and sums over
/// keys are taken lane by lane.
struct ForwardScratch {
  float* columns;  // (padded_dim, padded_rows) queries times scale
  float* sums;     // (rows, padded_dim) of weighted values
  float* keys;     // (keys, padded_dim)
  float* values;   // (keys, padded_dim)
  float* scores;   // (keys, padded_rows)
  float* most;     // (padded_rows) largest score so far
  float* total;    // (padded_rows) sum of weights so far
  float* shrink;   // (padded_rows) factor on what was summed before
  Visibility visibility;

  ForwardScratch(const AttentionBlocks& size, float* at) {
    const auto take = [&at](int64_t count) { return std::exchange(at, at + count); };
    columns = take(size.padded_dim * size.padded_rows);
    sums = take(size.rows * size.padded_dim);
    keys = take(kAttentionKeys * size.padded_dim);
    values = take(kAttentionKeys * size.padded_dim);
    scores = take(kAttentionKeys * size.padded_rows);
    most = take(size.padded_rows);
    total = take(size.padded_rows);
    shrink = take(size.padded_rows);
    visibility = {take(size.padded_rows), take(size.padded_rows)};
  }
};

/// Turns scores into weights relative to the new maximum, and carries maximum and total on.
template <Sees Kind>
void weigh(int64_t count, const AttentionBlocks& size, const ForwardScratch& to) {
  const ChannelTag d;
  const ChannelVec none = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t r = 0; r < size.padded_rows; r += static_cast<int64_t>(hn::Lanes(d))) {
    const ChannelVec before = hn::LoadU(d, to.most + r);
    ChannelVec most = before;
    for (int64_t j = 0; j < count; ++j) {
      float* at = to.scores + j * size.padded_rows + r;
      ChannelVec score = hn::LoadU(d, at);
      if constexpr (Kind == Sees::kSome) {
        score = hn::IfThenElse(sees_key(to.visibility, r, j), score, none);
        hn::StoreU(score, d, at);
      }
      most = hn::Max(most, score);
    }
    // A row that has seen no key yet must not take infinity from infinity.
    const ChannelVec base = hn::IfThenZeroElse(hn::Eq(most, none), most);
    const ChannelVec shrink = exp_vector(d, hn::Sub(before, base));
    ChannelVec sum = hn::Zero(d);
    for (int64_t j = 0; j < count; ++j) {
      float* at = to.scores + j * size.padded_rows + r;
      const ChannelVec score = hn::LoadU(d, at);
      ChannelVec weight = exp_vector(d, hn::Sub(score, base));
      if constexpr (Kind == Sees::kSome) {
        weight = hn::IfThenElseZero(hn::Gt(score, none), weight);
      }
      hn::StoreU(weight, d, at);
      sum = hn::Add(sum, weight);
    }
    hn::StoreU(most, d, to.most + r);
    hn::StoreU(shrink, d, to.shrink + r);
    hn::StoreU(hn::MulAdd(hn::LoadU(d, to.total + r), shrink, sum), d, to.total + r);
  }
}

void scale_row(float* row, int64_t count, float factor) {
  const ChannelTag d;
  for (int64_t p = 0; p < count; p += static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(hn::Mul(hn::LoadU(d, row + p), hn::Set(d, factor)), d, row + p);
  }
}

/// Adds keys [first, first + count) to the running softmax.
void add_keys(const Keys<float>& keys, const QueryBlock& block, int64_t oldest, int64_t first,
              int64_t count, const AttentionBlocks& size, const ForwardScratch& to) {
  const int64_t width = size.padded_dim, across = size.padded_rows;
  gather_keys(
      first, count, size, [&](int64_t j) { return keys.key(j, block.kv_head); }, to.keys);
  gather_keys(
      first, count, size, [&](int64_t j) { return keys.value(j, block.kv_head); }, to.values);
  product<Accumulate::kOverwrite>({.rows = count,
                                   .depth = size.dim,
                                   .columns = across,
                                   .a = to.keys,
                                   .a_row = width,
                                   .a_depth = 1,
                                   .b = to.columns,
                                   .b_step = across,
                                   .c = to.scores,
                                   .c_step = across});
  if (look(keys, block, oldest, first, count, size, to.visibility) == Sees::kAll) {
    weigh<Sees::kAll>(count, size, to);
  } else {
    weigh<Sees::kSome>(count, size, to);
  }
  for (int64_t r = 0; r < block.rows(); ++r) scale_row(to.sums + r * width, width, to.shrink[r]);
  product<Accumulate::kAdd>({.rows = block.rows(),
                             .depth = count,
                             .columns = width,
                             .a = to.scores,
                             .a_row = 1,
                             .a_depth = across,
                             .b = to.values,
                             .b_step = width,
                             .c = to.sums,
                             .c_step = width});
}

void attention_block(const AttentionArgs<float>& args, const QueryBlock& block,
                     const AttentionBlocks& size, float* scratch) {
  const ForwardScratch to(size, scratch);
  const Keys<float> keys(args, block.sequence);
  gather_rows(args.q, block, size, args.scale, to.sums, to.columns);
  std::fill_n(to.sums, block.rows() * size.padded_dim, 0.0f);
  std::fill_n(to.most, size.padded_rows, -std::numeric_limits<float>::infinity());
  std::fill_n(to.total, size.padded_rows, 0.0f);
  const int64_t oldest = keys.oldest(block.begin), end = block.begin + block.steps;
  for (int64_t first = oldest; first < end; first += kAttentionKeys) {
    add_keys(keys, block, oldest, first, std::min(kAttentionKeys, end - first), size, to);
  }
  for (int64_t r = 0; r < block.rows(); ++r) {
    float* sums = to.sums + r * size.padded_dim;
    scale_row(sums, size.padded_dim, 1.0f / to.total[r]);
    std::copy_n(sums, size.dim, block.at(args.y, r));
    if (args.lse.absent()) continue;
    args.lse(block.sequence, block.kv_head * block.group + r % block.group,
             block.begin + r / block.group) = to.most[r] + std::log(to.total[r]);
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(attention_block);

void attention_cpu(const AttentionArgs<float>& args, std::span<float> scratch) {
  const AttentionBlocks size({args.q.extent(2), args.k.extent(2), args.q.extent(3)},
                             args.q.extent(1));
  const int64_t time = args.q.extent(1), kv_heads = args.k.extent(2);
  if (size.group == 0) return;
  const int64_t blocks = (time + size.steps - 1) / size.steps;
  const int64_t keys = std::min(args.k.extent(1), args.window) + size.steps;
  const AttentionWork work{.items = args.q.extent(0) * kv_heads * blocks,
                           .floats = size.forward_floats(),
                           .operations = 4 * size.rows * keys * size.dim};
  for_each_item(work, scratch, [&](int64_t item, float* own) {
    const FlushSubnormals flush;
    const int64_t begin = item % blocks * size.steps;
    const QueryBlock block{.sequence = item / blocks / kv_heads,
                           .kv_head = item / blocks % kv_heads,
                           .begin = begin,
                           .steps = std::min(size.steps, time - begin),
                           .group = size.group};
    HWY_DYNAMIC_DISPATCH(attention_block)(args, block, size, own);
  });
}

}  // namespace longwave::ops
#endif
