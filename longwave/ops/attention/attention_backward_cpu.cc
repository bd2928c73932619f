// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/attention/attention_cpu.h"
#include "longwave/ops/simd/flush_subnormals.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/attention/attention_backward_cpu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/attention/attention_block-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Scratch of one thread; q is times scale.
struct BackwardScratch {
  float* q_columns;   // (padded_dim, padded_rows)
  float* dy_columns;  // (padded_dim, padded_rows)
  float* q;           // (rows, padded_dim)
  float* dy;          // (rows, padded_dim)
  float* dq;          // (rows, padded_dim) sum
  float* keys;        // (keys, padded_dim)
  float* values;      // (keys, padded_dim)
  float* change;      // (keys, padded_dim) what is added to dk or dv
  float* weights;     // (keys, padded_rows)
  float* slopes;      // (keys, padded_rows) gradient of the scores
  float* lse;         // (padded_rows)
  float* mean;        // (padded_rows) dy . y
  Visibility visibility;

  BackwardScratch(const AttentionBlocks& size, float* at) {
    const auto take = [&at](int64_t count) { return std::exchange(at, at + count); };
    q_columns = take(size.padded_dim * size.padded_rows);
    dy_columns = take(size.padded_dim * size.padded_rows);
    q = take(size.rows * size.padded_dim);
    dy = take(size.rows * size.padded_dim);
    dq = take(size.rows * size.padded_dim);
    keys = take(kAttentionKeys * size.padded_dim);
    values = take(kAttentionKeys * size.padded_dim);
    change = take(kAttentionKeys * size.padded_dim);
    weights = take(kAttentionKeys * size.padded_rows);
    slopes = take(kAttentionKeys * size.padded_rows);
    lse = take(size.padded_rows);
    mean = take(size.padded_rows);
    visibility = {take(size.padded_rows), take(size.padded_rows)};
  }
};

/// Scores become weights; gradients of weights become gradients of scores.
template <Sees Kind>
void weigh(int64_t count, const AttentionBlocks& size, const BackwardScratch& to) {
  const ChannelTag d;
  for (int64_t j = 0; j < count; ++j) {
    for (int64_t r = 0; r < size.padded_rows; r += static_cast<int64_t>(hn::Lanes(d))) {
      float* weights = to.weights + j * size.padded_rows + r;
      float* slopes = to.slopes + j * size.padded_rows + r;
      ChannelVec weight = exp_vector(d, hn::Sub(hn::LoadU(d, weights), hn::LoadU(d, to.lse + r)));
      if constexpr (Kind == Sees::kSome) {
        weight = hn::IfThenElseZero(sees_key(to.visibility, r, j), weight);
      }
      hn::StoreU(weight, d, weights);
      const ChannelVec slope = hn::Sub(hn::LoadU(d, slopes), hn::LoadU(d, to.mean + r));
      hn::StoreU(hn::Mul(weight, slope), d, slopes);
    }
  }
}

/// Adds `change` to rows of dk or dv.
void add_rows(const View<float, 4>& out, const QueryBlock& block, int64_t first, int64_t count,
              const AttentionBlocks& size, const float* change) {
  for (int64_t j = 0; j < count; ++j) {
    float* row = out.data() + block.sequence * out.stride(0) + (first + j) * out.stride(1) +
                 block.kv_head * out.stride(2);
    for (int64_t p = 0; p < size.dim; ++p) row[p] += change[j * size.padded_dim + p];
  }
}

/// The share of keys [first, first + count) in dq, and of the block's queries in dk and dv.
void visit_keys(const AttentionGradArgs<float>& args, const Keys<float>& keys,
                const QueryBlock& block, int64_t oldest, int64_t first, int64_t count,
                const AttentionBlocks& size, const BackwardScratch& to) {
  const int64_t width = size.padded_dim, across = size.padded_rows, rows = block.rows();
  const int64_t past = args.k.extent(1) - args.q.extent(1);
  gather_keys(
      first, count, size, [&](int64_t j) { return keys.key(j, block.kv_head); }, to.keys);
  gather_keys(
      first, count, size, [&](int64_t j) { return keys.value(j, block.kv_head); }, to.values);
  const auto scores = [&](const float* left, const float* columns, float* out) {
    product<Accumulate::kOverwrite>({.rows = count,
                                     .depth = size.dim,
                                     .columns = across,
                                     .a = left,
                                     .a_row = width,
                                     .a_depth = 1,
                                     .b = columns,
                                     .b_step = across,
                                     .c = out,
                                     .c_step = across});
  };
  scores(to.keys, to.q_columns, to.weights);
  scores(to.values, to.dy_columns, to.slopes);
  if (look(keys, block, oldest, first, count, size, to.visibility) == Sees::kAll) {
    weigh<Sees::kAll>(count, size, to);
  } else {
    weigh<Sees::kSome>(count, size, to);
  }
  const auto over_queries = [&](const float* left, const float* right) {
    product<Accumulate::kOverwrite>({.rows = count,
                                     .depth = rows,
                                     .columns = width,
                                     .a = left,
                                     .a_row = across,
                                     .a_depth = 1,
                                     .b = right,
                                     .b_step = width,
                                     .c = to.change,
                                     .c_step = width});
  };
  over_queries(to.weights, to.dy);
  add_rows(args.dv, block, past + first, count, size, to.change);
  over_queries(to.slopes, to.q);
  add_rows(args.dk, block, past + first, count, size, to.change);
  product<Accumulate::kAdd>({.rows = rows,
                             .depth = count,
                             .columns = width,
                             .a = to.slopes,
                             .a_row = 1,
                             .a_depth = across,
                             .b = to.keys,
                             .b_step = width,
                             .c = to.dq,
                             .c_step = width});
}

void backward_block(const AttentionGradArgs<float>& args, const Keys<float>& keys,
                    const QueryBlock& block, const AttentionBlocks& size,
                    const BackwardScratch& to) {
  gather_rows(args.q, block, size, args.scale, to.q, to.q_columns);
  gather_rows(args.dy, block, size, 1.0f, to.dy, to.dy_columns);
  std::fill_n(to.dq, block.rows() * size.padded_dim, 0.0f);
  std::fill_n(to.lse, size.padded_rows, 0.0f);
  std::fill_n(to.mean, size.padded_rows, 0.0f);
  for (int64_t r = 0; r < block.rows(); ++r) {
    const float* y = block.at(args.y, r);
    const float* dy = to.dy + r * size.padded_dim;
    float mean = 0;
    for (int64_t p = 0; p < size.dim; ++p) mean += y[p] * dy[p];
    to.mean[r] = mean;
    to.lse[r] = args.lse(block.sequence, block.kv_head * block.group + r % block.group,
                         block.begin + r / block.group);
  }
  const int64_t oldest = keys.oldest(block.begin), end = block.begin + block.steps;
  for (int64_t first = oldest; first < end; first += kAttentionKeys) {
    visit_keys(args, keys, block, oldest, first, std::min(kAttentionKeys, end - first), size, to);
  }
  for (int64_t r = 0; r < block.rows(); ++r) {
    float* dq = block.at(args.dq, r);
    const float* sum = to.dq + r * size.padded_dim;
    for (int64_t p = 0; p < size.dim; ++p) dq[p] = args.scale * sum[p];
  }
}

/// All steps of one key head of one sequence, in order.
void attention_backward_head(const AttentionGradArgs<float>& args, int64_t sequence,
                             int64_t kv_head, const AttentionBlocks& size, float* scratch) {
  const int64_t time = args.q.extent(1);
  for (const View<float, 4>& out : {args.dk, args.dv}) {
    for (int64_t j = 0; j < out.extent(1); ++j) {
      float* row =
          out.data() + sequence * out.stride(0) + j * out.stride(1) + kv_head * out.stride(2);
      std::fill_n(row, size.dim, 0.0f);
    }
  }
  const BackwardScratch to(size, scratch);
  const Keys<float> keys(args, sequence);
  for (int64_t begin = 0; begin < time; begin += size.steps) {
    const QueryBlock block{.sequence = sequence,
                           .kv_head = kv_head,
                           .begin = begin,
                           .steps = std::min(size.steps, time - begin),
                           .group = size.group};
    backward_block(args, keys, block, size, to);
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(attention_backward_head);

void attention_backward_cpu(const AttentionGradArgs<float>& args, std::span<float> scratch) {
  const AttentionBlocks size({args.q.extent(2), args.k.extent(2), args.q.extent(3)},
                             args.q.extent(1));
  const int64_t kv_heads = args.k.extent(2);
  const int64_t keys = std::min(args.k.extent(1), args.window) + size.steps;
  const AttentionWork work{.items = args.q.extent(0) * kv_heads,
                           .floats = size.backward_floats(),
                           .operations = 10 * args.q.extent(1) * size.group * keys * size.dim};
  for_each_item(work, scratch, [&](int64_t item, float* own) {
    const FlushSubnormals flush;
    HWY_DYNAMIC_DISPATCH(attention_backward_head)
    (args, item / kv_heads, item % kv_heads, size, own);
  });
}

}  // namespace longwave::ops
#endif
