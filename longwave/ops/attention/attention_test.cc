// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/attention/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/base/testing/tolerance.h"

namespace longwave::ops {
namespace {

using testing::Tolerance;
using testing::Worst;

struct Case {
  int64_t batch, time, past, heads, kv_heads, dim, window;
  bool packed = false;
};

constexpr Case kCases[] = {{1, 1, 0, 1, 1, 1, 1},
                           {2, 0, 3, 2, 1, 4, 5},
                           {2, 7, 0, 4, 2, 5, 3},
                           {1, 130, 0, 2, 2, 16, 1000},
                           {2, 150, 40, 6, 2, 20, 33},
                           {1, 90, 10, 3, 1, 33, 7, true},
                           {1, 200, 70, 4, 1, 64, 90, true},
                           {1, 5, 100, 66, 1, 8, 64},
                           {2, 64, 64, 1, 1, 24, 64},
                           {1, 3, 300, 8, 8, 12, 512}};

template <typename T>
std::vector<T> noise(int64_t count, uint64_t stream) {
  Random random(7, stream);
  std::vector<T> numbers(count);
  for (T& number : numbers) number = static_cast<float>(random.normal());
  return numbers;
}

/// Operands and results in type T, the same random numbers whatever T; q lies in a wider matrix.
template <typename T>
struct AttentionRun {
  Case size;
  std::vector<T> q, k, v, dy, y, lse, dq, dk, dv;
  std::vector<uint8_t> starts;
  std::vector<int64_t> seen;

  explicit AttentionRun(const Case& c) : size(c) {
    const int64_t queries = c.batch * c.time * c.heads * c.dim;
    const int64_t keys = c.batch * (c.past + c.time) * c.kv_heads * c.dim;
    const T nan = std::numeric_limits<T>::quiet_NaN();
    q = noise<T>(2 * queries, 1);
    k = noise<T>(keys, 2);
    v = noise<T>(keys, 3);
    dy = noise<T>(queries, 4);
    y.assign(queries, nan);
    dq = y;
    dk.assign(keys, nan);
    dv = dk;
    lse.assign(c.batch * c.heads * c.time, nan);
    starts.assign(c.batch * c.time, 0);
    Random random(8);
    for (uint8_t& start : starts) start = c.packed && random.integer(20) == 0 ? 1 : 0;
    for (int64_t s = 0; s < c.batch; ++s) seen.push_back(c.past == 0 ? 0 : c.past - s);
  }

  View<const T, 4> queries() const {
    const int64_t row = size.heads * size.dim;
    return {q.data(),
            {size.batch, size.time, size.heads, size.dim},
            {size.time * 2 * row, 2 * row, size.dim, 1}};
  }
  template <typename Element, typename Data>
  View<Element, 4> steps(Data& data) const {
    return {data.data(), {size.batch, size.time, size.heads, size.dim}};
  }
  template <typename Element, typename Data>
  View<Element, 4> keys(Data& data) const {
    return {data.data(), {size.batch, size.past + size.time, size.kv_heads, size.dim}};
  }
  AttentionShape shape() const { return {size.heads, size.kv_heads, size.dim, size.batch}; }

  AttentionArgs<T> forward_args() {
    return {.scale = T(1 / std::sqrt(static_cast<double>(size.dim))),
            .window = size.window,
            .q = queries(),
            .k = keys<const T>(k),
            .v = keys<const T>(v),
            .ring_k = {},
            .ring_v = {},
            .seen = {seen.data(), {size.batch}},
            .starts = {starts.data(), {size.batch, size.time}},
            .y = steps<T>(y),
            .lse = {lse.data(), {size.batch, size.heads, size.time}}};
  }
  void forward() {
    Workspace workspace(attention_workspace_bytes(shape()));
    attention(forward_args(), workspace);
  }
  void backward() {
    forward();
    const AttentionArgs<T> args = forward_args();
    Workspace workspace(attention_backward_workspace_bytes(shape()));
    attention_backward<T>({.scale = args.scale,
                           .window = args.window,
                           .q = args.q,
                           .k = args.k,
                           .v = args.v,
                           .seen = args.seen,
                           .starts = args.starts,
                           .y = args.y,
                           .lse = args.lse,
                           .dy = steps<const T>(dy),
                           .dq = steps<T>(dq),
                           .dk = keys<T>(dk),
                           .dv = keys<T>(dv)},
                          workspace);
  }
};

template <typename Expected>
void compare(const char* what, const std::vector<Expected>& expected, const std::vector<float>& got,
             Tolerance bound) {
  Worst worst(what);
  for (size_t i = 0; i < got.size(); ++i) {
    worst.compare(static_cast<int64_t>(i), expected[i], got[i], bound);
  }
  if (!got.empty()) {
    EXPECT_TRUE(worst.ok());
  }
}

// Scores of normal numbers reach about 6; an error of a score is one of a weight, relatively. y is
// a mean of numbers up to 5.
Tolerance output_bound(const Case& c) { return Tolerance::sum<float>(c.dim + c.window, 5); }

TEST(Attention, BackendsAgree) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(::testing::Message()
                 << c.time << " " << c.heads << " " << c.dim << " " << c.window);
    AttentionRun<float> fast(c);
    AttentionRun<double> exact(c);
    fast.backward();
    exact.backward();
    compare("y", exact.y, fast.y, output_bound(c));
    compare("lse", exact.lse, fast.lse, Tolerance::sum<float>(c.dim, 10));
    const int64_t group = c.heads / c.kv_heads;
    const double size = 5 * std::sqrt(static_cast<double>(c.dim));
    const Tolerance keys = Tolerance::sum<float>(c.dim + group * c.time, 5 * size);
    compare("dq", exact.dq, fast.dq, Tolerance::sum<float>(c.dim + c.window, 5 * size));
    compare("dk", exact.dk, fast.dk, keys);
    compare("dv", exact.dv, fast.dv, keys);
  }
}

TEST(Attention, WindowOfOneGivesTheValue) {
  AttentionRun<float> run({2, 20, 0, 4, 2, 9, 1});
  run.forward();
  for (int64_t i = 0; i < 2 * 20; ++i) {
    for (int64_t h = 0; h < 4; ++h) {
      for (int64_t p = 0; p < 9; ++p) {
        EXPECT_EQ(run.y[(i * 4 + h) * 9 + p], run.v[(i * 2 + h / 2) * 9 + p]);
      }
    }
  }
}

TEST(Attention, CausalityIsBitwise) {
  const Case c{1, 150, 0, 2, 1, 16, 40};
  AttentionRun<float> before(c), after(c);
  before.forward();
  const int64_t at = 100;
  for (int64_t i = at * c.dim; i < c.time * c.dim; ++i) {
    after.k[i] += 1;
    after.v[i] -= 1;
  }
  after.forward();
  const int64_t row = c.heads * c.dim;
  for (int64_t t = 0; t < c.time; ++t) {
    const bool same = std::equal(before.y.begin() + t * row, before.y.begin() + (t + 1) * row,
                                 after.y.begin() + t * row);
    EXPECT_EQ(same, t < at) << t;
  }
}

// Keys and values of a stream, run in pieces of the given length over a ring.
std::vector<float> streamed(AttentionRun<float>& run, int64_t piece, int64_t slots) {
  const Case& c = run.size;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> ring_k(c.batch * slots * c.kv_heads * c.dim, nan), ring_v(ring_k);
  std::vector<int64_t> seen(c.batch, 0);
  const View<float, 4> rings_k(ring_k.data(), {c.batch, slots, c.kv_heads, c.dim});
  const View<float, 4> rings_v(ring_v.data(), {c.batch, slots, c.kv_heads, c.dim});
  const AttentionArgs<float> whole = run.forward_args();
  Workspace workspace(attention_workspace_bytes(run.shape()));
  for (int64_t t = 0; t < c.time; t += piece) {
    const int64_t count = std::min(piece, c.time - t);
    AttentionArgs<float> args = whole;
    args.q = whole.q.slice(1, t, count);
    args.k = whole.k.slice(1, t, count);
    args.v = whole.v.slice(1, t, count);
    args.y = whole.y.slice(1, t, count);
    args.starts = whole.starts.slice(1, t, count);
    args.lse = {};
    args.ring_k = rings_k;
    args.ring_v = rings_v;
    args.seen = {seen.data(), {c.batch}};
    attention(args, workspace);
    push_keys<float>({.k = args.k,
                      .v = args.v,
                      .starts = args.starts,
                      .ring_k = rings_k,
                      .ring_v = rings_v,
                      .seen = {seen.data(), {c.batch}}});
  }
  return run.y;
}

TEST(Attention, StepsOverARingEqualPrefillForEverySplit) {
  for (const bool packed : {false, true}) {
    for (const int64_t window : {1, 9, 70, 500}) {
      const Case c{2, 140, 0, 4, 2, 10, window, packed};
      AttentionRun<float> whole(c);
      whole.forward();
      for (const int64_t piece : {1, 3, 64, 140}) {
        for (const int64_t slots : {window, window + 5}) {
          AttentionRun<float> run(c);
          compare("streamed", whole.y, streamed(run, piece, slots), output_bound(c));
        }
      }
    }
  }
}

TEST(Attention, StepsHaveTheSameBitsWhateverThreadsAndMates) {
  // Long enough for every share of the keys, and for rings that begin anew in the midst of one.
  const Case c{2, 700, 0, 6, 2, 20, 601};
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    AttentionRun<float> run(c);
    results.push_back(streamed(run, 1, c.window + 3));
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  Case alone = c;
  alone.batch = 1;
  AttentionRun<float> run(alone);
  const std::vector<float> first = streamed(run, 1, c.window + 3);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), results[0].begin()));
}

TEST(Attention, PackedEqualsSeparate) {
  const Case c{1, 130, 0, 2, 1, 12, 50, true};
  AttentionRun<float> packed(c), alone(c);
  packed.forward();
  const AttentionArgs<float> whole = alone.forward_args();
  Workspace workspace(attention_workspace_bytes(packed.shape()));
  int64_t begin = 0;
  for (int64_t t = 1; t <= c.time; ++t) {
    if (t < c.time && packed.starts[t] == 0) continue;
    AttentionArgs<float> one = whole;
    one.q = whole.q.slice(1, begin, t - begin);
    one.k = whole.k.slice(1, begin, t - begin);
    one.v = whole.v.slice(1, begin, t - begin);
    one.y = whole.y.slice(1, begin, t - begin);
    one.starts = {};
    one.lse = {};
    attention(one, workspace);
    begin = t;
  }
  compare("separate", packed.y, alone.y, output_bound(c));
}

TEST(Attention, LargeScoresDoNotOverflow) {
  AttentionRun<float> run({1, 100, 0, 1, 1, 8, 100});
  for (float& number : run.k) number *= 1e4f;
  run.forward();
  for (const float y : run.y) EXPECT_TRUE(std::isfinite(y) && std::abs(y) < 6);
}

TEST(Attention, ThreadsDoNotChangeTheResult) {
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (int threads : {1, 2, 3}) {
    set_thread_count(threads);
    AttentionRun<float> run({2, 150, 5, 4, 2, 16, 60});
    run.backward();
    std::vector<float> all = run.y;
    for (const auto* part : {&run.dq, &run.dk, &run.dv}) {
      all.insert(all.end(), part->begin(), part->end());
    }
    results.push_back(all);
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Attention, RejectsBadShapes) {
  AttentionRun<float> run({1, 5, 2, 4, 2, 8, 4});
  Workspace workspace(attention_workspace_bytes(run.shape()));
  AttentionArgs<float> bad = run.forward_args();
  bad.window = 0;
  EXPECT_THROW(attention(bad, workspace), InvalidArgument);
  bad = run.forward_args();
  bad.q = bad.q.slice(2, 0, 3);
  EXPECT_THROW(attention(bad, workspace), InvalidArgument);
  bad = run.forward_args();
  bad.k = bad.k.slice(1, 0, 4);
  EXPECT_THROW(attention(bad, workspace), InvalidArgument);
  bad = run.forward_args();
  bad.ring_k = bad.k;
  bad.ring_v = bad.v;
  EXPECT_THROW(attention(bad, workspace), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
