// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/attention/attention_torch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "longwave/base/error.h"
#include "longwave/ops/tensor_view_torch.h"
#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::ops {
namespace {

using testing::expect_gradients;
using testing::weighted_sum;
using torch::Tensor;

AttentionInput random_input(int64_t time, int64_t past, int64_t window) {
  torch::manual_seed(1);
  const auto leaf = [](torch::IntArrayRef size) {
    return torch::randn(size, torch::kFloat64).requires_grad_();
  };
  return {.scale = 0.6,
          .window = window,
          .q = leaf({2, time, 4, 3}),
          .k = leaf({2, past + time, 2, 3}),
          .v = leaf({2, past + time, 2, 3}),
          .seen = Tensor(),
          .starts = Tensor()};
}

TEST(AttentionTorch, GradientMatchesFiniteDifference) {
  for (const auto& [time, past, window] :
       {std::array<int64_t, 3>{5, 0, 9}, {4, 3, 3}, {1, 4, 9}, {0, 2, 2}}) {
    for (const bool packed : {false, true}) {
      AttentionInput in = random_input(time, past, window);
      if (packed) {
        in.starts = torch::rand({2, time}) < 0.3;
        in.seen = torch::tensor({past, past / 2}, torch::kInt64);
      }
      expect_gradients([&] { return weighted_sum(attention(in)); },
                       {{"q", in.q}, {"k", in.k}, {"v", in.v}});
    }
  }
}

// Attention with the whole matrix of scores, in torch's operations.
Tensor naive(const AttentionInput& in) {
  const int64_t time = in.q.size(1), rows = in.k.size(1), past = rows - time;
  const auto wide = [&](const Tensor& x) { return x.repeat_interleave(2, 2).transpose(1, 2); };
  const Tensor scores = in.scale * torch::matmul(in.q.transpose(1, 2), wide(in.k).transpose(2, 3));
  const Tensor age = (torch::arange(time) + past).unsqueeze(1) - torch::arange(rows).unsqueeze(0);
  const Tensor hidden = (age < 0).logical_or(age >= in.window);
  const Tensor weights = scores.masked_fill(hidden, -INFINITY).softmax(-1);
  return torch::matmul(weights, wide(in.v)).transpose(1, 2);
}

TEST(AttentionTorch, EqualsTheMatrixForm) {
  for (const int64_t window : {1, 30, 200}) {
    AttentionInput in = random_input(100, 20, window);
    const Tensor expected = naive(in);
    EXPECT_TRUE(torch::allclose(expected, attention(in), 1e-10, 1e-12));
    for (Tensor* tensor : {&in.q, &in.k, &in.v}) {
      *tensor = tensor->detach().to(torch::kFloat32).transpose(1, 3).contiguous().transpose(1, 3);
      tensor->requires_grad_();
    }
    const Tensor got = attention(in), matrix = naive(in);
    EXPECT_TRUE(torch::allclose(matrix, got, 1e-4, 1e-5));
    const Tensor weight = torch::randn_like(got);
    const auto ours = torch::autograd::grad({(got * weight).sum()}, {in.q, in.k, in.v});
    const auto theirs = torch::autograd::grad({(matrix * weight).sum()}, {in.q, in.k, in.v});
    for (size_t i = 0; i < ours.size(); ++i) {
      EXPECT_TRUE(torch::allclose(theirs[i], ours[i], 1e-4, 1e-4)) << i;
    }
  }
}

TEST(AttentionTorch, PiecesOverARingEqualTheWhole) {
  for (const bool packed : {false, true}) {
    AttentionInput whole = random_input(30, 0, 7);
    if (packed) whole.starts = torch::rand({2, 30}) < 0.1;
    const Tensor expected = attention(whole);
    for (const int64_t piece : {1, 4, 30}) {
      Tensor ring_k = torch::zeros({2, 7, 2, 3}, torch::kFloat64), ring_v = ring_k;
      Tensor seen = torch::zeros({2}, torch::kInt64);
      std::vector<Tensor> parts;
      for (int64_t t = 0; t < 30; t += piece) {
        const int64_t count = std::min<int64_t>(piece, 30 - t);
        const Tensor k = whole.k.narrow(1, t, count), v = whole.v.narrow(1, t, count);
        AttentionInput in = whole;
        in.q = whole.q.narrow(1, t, count);
        in.k = torch::cat({unrolled_ring(ring_k, seen), k}, 1);
        in.v = torch::cat({unrolled_ring(ring_v, seen), v}, 1);
        in.seen = seen;
        if (packed) in.starts = whole.starts.narrow(1, t, count);
        parts.push_back(attention(in));
        // The ring must be what push_keys leaves.
        Tensor pushed_k = ring_k.detach().clone(), pushed_v = ring_v.detach().clone();
        Tensor counted = seen.clone(),
               starts = packed ? in.starts.to(torch::kUInt8).contiguous() : Tensor();
        const Tensor rows_k = k.detach().contiguous(), rows_v = v.detach().contiguous();
        push_keys<double>({.k = {rows_k.data_ptr<double>(), {2, count, 2, 3}},
                           .v = {rows_v.data_ptr<double>(), {2, count, 2, 3}},
                           .starts = view_of<const uint8_t, 2>(starts),
                           .ring_k = {pushed_k.data_ptr<double>(), {2, 7, 2, 3}},
                           .ring_v = {pushed_v.data_ptr<double>(), {2, 7, 2, 3}},
                           .seen = {counted.data_ptr<int64_t>(), {2}}});
        seen = seen_after(seen, count, in.starts);
        ring_k = rolled_ring({ring_k, k, seen});
        ring_v = rolled_ring({ring_v, v, seen});
        EXPECT_TRUE(torch::equal(pushed_k, ring_k));
        EXPECT_TRUE(torch::equal(pushed_v, ring_v));
        EXPECT_TRUE(torch::equal(counted, seen));
      }
      EXPECT_TRUE(torch::allclose(expected, torch::cat(parts, 1), 1e-10, 1e-12));
    }
  }
}

TEST(AttentionTorch, GradientsFlowThroughTheRing) {
  AttentionInput whole = random_input(6, 0, 4);
  const auto loss = [&] {
    const auto part = [&](const Tensor& x, int64_t t) { return x.narrow(1, t, 3); };
    AttentionInput head = whole, tail = whole;
    head.q = part(whole.q, 0);
    head.k = part(whole.k, 0);
    head.v = part(whole.v, 0);
    const Tensor none = torch::zeros({2, 4, 2, 3}, torch::kFloat64);
    const Tensor seen = torch::full({2}, 3, torch::kInt64);
    tail.q = part(whole.q, 3);
    tail.k =
        torch::cat({unrolled_ring(rolled_ring({none, head.k, seen}), seen), part(whole.k, 3)}, 1);
    tail.v =
        torch::cat({unrolled_ring(rolled_ring({none, head.v, seen}), seen), part(whole.v, 3)}, 1);
    tail.seen = seen;
    return weighted_sum(attention(tail)) + weighted_sum(attention(head));
  };
  expect_gradients(loss, {{"q", whole.q}, {"k", whole.k}, {"v", whole.v}});
}

TEST(RotaryTorch, GradientMatchesFiniteDifference) {
  torch::manual_seed(1);
  const Tensor x = torch::randn({2, 3, 2, 6}, torch::kFloat64).requires_grad_();
  const Tensor start = torch::tensor({4, 90}, torch::kInt64);
  for (const RotaryPairs pairs : {RotaryPairs::kHalves, RotaryPairs::kNeighbours}) {
    expect_gradients([&] { return weighted_sum(rotary({pairs, 100, 4}, x, start)); }, {{"x", x}});
  }
}

TEST(AttentionTorch, RejectsBadShapes) {
  AttentionInput in = random_input(5, 0, 3);
  in.k = in.k.narrow(2, 0, 1).expand({2, 5, 3, 3});
  EXPECT_THROW(attention(in), InvalidArgument);
  in = random_input(5, 0, 3);
  in.v = in.v.to(torch::kFloat32);
  EXPECT_THROW(attention(in), InvalidArgument);
}

}  // namespace
}  // namespace longwave::ops
