// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "longwave/ops/attention/attention_cpu.h"
#include "longwave/ops/simd/flush_subnormals.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "longwave/ops/attention/attention_step_cpu.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "longwave/ops/attention/attention_block-inl.h"
#include "longwave/ops/simd/lane_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longwave::ops::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Keys of one step that are worked on at once, where they lie, with rows that end with a whole
/// vector: elsewhere they are copied.
struct StepKeys {
  const float* keys[kAttentionKeys];
  const float* values[kAttentionKeys];
  int64_t count;
};

/// Scratch of one thread, for the queries that share a key head.
struct StepScratch {
  float* queries;  // (group, padded_dim) times scale
  float* weights;  // (group, keys)
  float* keys;     // (keys, padded_dim) copies
  float* values;   // (keys, padded_dim) copies

  StepScratch(const AttentionBlocks& size, float* at) {
    const auto take = [&at](int64_t count) { return std::exchange(at, at + count); };
    queries = take(size.group * size.padded_dim);
    weights = take(size.group * kAttentionKeys);
    keys = take(kAttentionKeys * size.padded_dim);
    values = take(kAttentionKeys * size.padded_dim);
  }
};

/// Finds keys [first, first + count) and what belongs to them.
void find_keys(const Keys<float>& all, int64_t head, int64_t first, int64_t count,
               const AttentionBlocks& size, const StepScratch& to, StepKeys& found) {
  all.rows(first, count, head, found.keys, found.values);
  found.count = count;
  if (size.dim % static_cast<int64_t>(hn::Lanes(ChannelTag())) == 0) return;
  for (int64_t j = 0; j < count; ++j) {
    float* key = to.keys + j * size.padded_dim;
    float* value = to.values + j * size.padded_dim;
    copy_row(found.keys[j], size.dim, size.padded_dim, 1.0f, key);
    copy_row(found.values[j], size.dim, size.padded_dim, 1.0f, value);
    found.keys[j] = key;
    found.values[j] = value;
  }
}

/// Asks memory for keys that come next: they lie a whole step apart, which no hardware foresees.
void prefetch_keys(const Keys<float>& all, int64_t head, int64_t first, int64_t count,
                   const AttentionBlocks& size) {
  if (count <= 0) return;
  constexpr int64_t kLine = 64 / sizeof(float);
  StepKeys next;
  all.rows(first, count, head, next.keys, next.values);
  for (int64_t j = 0; j < count; ++j) {
    for (int64_t p = 0; p < size.dim + kLine; p += kLine) {
      hwy::Prefetch(next.keys[j] + std::min(p, size.dim - 1));
      hwy::Prefetch(next.values[j] + std::min(p, size.dim - 1));
    }
  }
}

/// scores[j] = q . key j, four keys side by side; those beyond the last are minus infinity.
void score(const float* q, const StepKeys& found, int64_t dim, float* scores) {
  const ChannelTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t j = 0; j < found.count; j += 4) {
    const float* rows[4];
    for (int64_t i = 0; i < 4; ++i) rows[i] = found.keys[std::min(j + i, found.count - 1)];
    ChannelVec sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    for (int64_t p = 0; p < dim; p += lanes) {
      const ChannelVec factor = hn::LoadU(d, q + p);
      sum0 = hn::MulAdd(factor, hn::LoadU(d, rows[0] + p), sum0);
      sum1 = hn::MulAdd(factor, hn::LoadU(d, rows[1] + p), sum1);
      sum2 = hn::MulAdd(factor, hn::LoadU(d, rows[2] + p), sum2);
      sum3 = hn::MulAdd(factor, hn::LoadU(d, rows[3] + p), sum3);
    }
    std::fill_n(scores + j, 4, 0.0f);
    add_lane_sums(sum0, sum1, sum2, sum3, scores + j);
  }
  std::fill(scores + found.count, scores + kAttentionKeys, -std::numeric_limits<float>::infinity());
}

/// Turns scores into weights relative to the new maximum; returns the factor on what was summed
/// before.
float weigh(float* scores, StepPart& part) {
  const ChannelTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const ChannelVec none = hn::Set(d, -std::numeric_limits<float>::infinity());
  ChannelVec most = hn::Set(d, *part.most);
  for (int64_t j = 0; j < kAttentionKeys; j += lanes)
    most = hn::Max(most, hn::LoadU(d, scores + j));
  const ChannelVec base = hn::MaxOfLanes(d, most);
  const float shrink = hn::GetLane(exp_vector(d, hn::Sub(hn::Set(d, *part.most), base)));
  ChannelVec sum = hn::Zero(d);
  for (int64_t j = 0; j < kAttentionKeys; j += lanes) {
    const ChannelVec at = hn::LoadU(d, scores + j);
    // What is no number stays none.
    const ChannelVec weight =
        hn::IfThenZeroElse(hn::Eq(at, none), exp_vector(d, hn::Sub(at, base)));
    hn::StoreU(weight, d, scores + j);
    sum = hn::Add(sum, weight);
  }
  *part.most = hn::GetLane(base);
  *part.total = *part.total * shrink + hn::GetLane(hn::SumOfLanes(d, sum));
  return shrink;
}

/// sums = shrink sums + weights . values, `Vectors` vectors from number `p` on.
template <int Vectors>
HWY_INLINE void add_values(const float* weights, const StepKeys& found, float shrink, int64_t p,
                           float* sums) {
  const ChannelTag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  ChannelVec sum[Vectors];
  for (int v = 0; v < Vectors; ++v) {
    sum[v] = hn::Mul(hn::LoadU(d, sums + p + v * lanes), hn::Set(d, shrink));
  }
  for (int64_t j = 0; j < found.count; ++j) {
    const ChannelVec weight = hn::Set(d, weights[j]);
    const float* value = found.values[j] + p;
    for (int v = 0; v < Vectors; ++v) {
      sum[v] = hn::MulAdd(weight, hn::LoadU(d, value + v * lanes), sum[v]);
    }
  }
  for (int v = 0; v < Vectors; ++v) hn::StoreU(sum[v], d, sums + p + v * lanes);
}

/// The softmax over keys [begin, end) of the queries of one key head, as parts to be joined.
void attention_step_part(const AttentionArgs<float>& args, const QueryBlock& block, int64_t begin,
                         int64_t end, const AttentionBlocks& size, const StepParts& parts,
                         float* scratch) {
  constexpr int kVectors = 4;
  const auto lanes = static_cast<int64_t>(hn::Lanes(ChannelTag()));
  const int64_t covered = (size.dim + lanes - 1) / lanes * lanes;
  const StepScratch to(size, scratch);
  const Keys<float> keys(args, block.sequence);
  for (int64_t r = 0; r < size.group; ++r) {
    copy_row(block.at(args.q, r), size.dim, size.padded_dim, args.scale,
             to.queries + r * size.padded_dim);
    const StepPart part = parts.of(r);
    *part.most = -std::numeric_limits<float>::infinity();
    *part.total = 0;
    std::fill_n(part.sums, size.padded_dim, 0.0f);
  }
  StepKeys found;
  for (int64_t first = begin; first < end; first += kAttentionKeys) {
    find_keys(keys, block.kv_head, first, std::min(kAttentionKeys, end - first), size, to, found);
    prefetch_keys(keys, block.kv_head, first + kAttentionKeys,
                  std::min(kAttentionKeys, end - first - kAttentionKeys), size);
    for (int64_t r = 0; r < size.group; ++r) {
      float* weights = to.weights + r * kAttentionKeys;
      StepPart part = parts.of(r);
      score(to.queries + r * size.padded_dim, found, covered, weights);
      const float shrink = weigh(weights, part);
      int64_t p = 0;
      for (; p + kVectors * lanes <= covered; p += kVectors * lanes) {
        add_values<kVectors>(weights, found, shrink, p, part.sums);
      }
      for (; p < covered; p += lanes) add_values<1>(weights, found, shrink, p, part.sums);
    }
  }
}

}  // namespace longwave::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longwave::ops {

HWY_EXPORT(attention_step_part);

namespace {

/// The keys of one sequence, cut into shares.
struct Shares {
  int64_t oldest, size, count;

  explicit Shares(const Keys<float>& keys)
      : oldest(keys.oldest(0)),
        size(std::max(kAttentionKeys, (1 - oldest + kStepShares - 1) / kStepShares)),
        count((1 - oldest + size - 1) / size) {}
  int64_t begin(int64_t share) const { return oldest + share * size; }
  int64_t end(int64_t share) const { return std::min(begin(share) + size, int64_t{1}); }
};

/// Joins the parts of one query, in their order.
void join(const AttentionArgs<float>& args, const QueryBlock& block, int64_t row, int64_t shares,
          const AttentionBlocks& size, float* scratch) {
  const int64_t head = block.sequence * args.k.extent(2) + block.kv_head;
  float most = -std::numeric_limits<float>::infinity(), total = 0;
  for (int64_t share = 0; share < shares; ++share) {
    most = std::max(most, *StepParts(size, head, share, scratch).of(row).most);
  }
  float* y = block.at(args.y, row);
  std::fill_n(y, size.dim, 0.0f);
  for (int64_t share = 0; share < shares; ++share) {
    const StepPart part = StepParts(size, head, share, scratch).of(row);
    const float weight = std::exp(*part.most - most);
    total += weight * *part.total;
    for (int64_t p = 0; p < size.dim; ++p) y[p] += weight * part.sums[p];
  }
  for (int64_t p = 0; p < size.dim; ++p) y[p] /= total;
  if (args.lse.absent()) return;
  args.lse(block.sequence, block.kv_head * size.group + row, 0) = most + std::log(total);
}

}  // namespace

void attention_step_cpu(const AttentionArgs<float>& args, std::span<float> scratch) {
  const int64_t batch = args.q.extent(0), kv_heads = args.k.extent(2), heads = batch * kv_heads;
  const AttentionBlocks size({args.q.extent(2), kv_heads, args.q.extent(3)}, 1);
  if (size.group == 0 || heads == 0) return;
  const auto parts = static_cast<size_t>(size.step_parts_floats(heads));
  const auto block = [&](int64_t head) {
    return QueryBlock{.sequence = head / kv_heads,
                      .kv_head = head % kv_heads,
                      .begin = 0,
                      .steps = 1,
                      .group = size.group};
  };
  int64_t most_shares = 0, keys = 0;
  for (int64_t sequence = 0; sequence < batch; ++sequence) {
    const Shares shares(Keys<float>(args, sequence));
    most_shares = std::max(most_shares, shares.count);
    keys += 1 - shares.oldest;
  }
  // Memory is what a step waits for: a thread more is worth it sooner.
  AttentionWork work{.items = heads * most_shares,
                     .floats = size.step_floats(),
                     .operations = 4 * size.group * keys * size.dim / (batch * most_shares),
                     .grain = 1 << 18};
  for_each_item(work, scratch.subspan(parts), [&](int64_t item, float* own) {
    const FlushSubnormals flush;
    const int64_t head = item % heads, share = item / heads;
    const Shares shares(Keys<float>(args, head / kv_heads));
    if (share >= shares.count) return;
    HWY_DYNAMIC_DISPATCH(attention_step_part)
    (args, block(head), shares.begin(share), shares.end(share), size,
     StepParts(size, head, share, scratch.data()), own);
  });
  work.items = heads;
  work.operations = 2 * size.group * most_shares * size.dim;
  for_each_item(work, scratch.subspan(parts), [&](int64_t head, float*) {
    const int64_t shares = Shares(Keys<float>(args, head / kv_heads)).count;
    for (int64_t r = 0; r < size.group; ++r) {
      join(args, block(head), r, shares, size, scratch.data());
    }
  });
}

}  // namespace longwave::ops
#endif
