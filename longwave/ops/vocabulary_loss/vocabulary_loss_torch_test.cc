// SPDX-License-Identifier: Apache-2.0
#include "longwave/ops/vocabulary_loss/vocabulary_loss_torch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "longwave/ops/testing/gradient_check_torch.h"

namespace longwave::ops {
namespace {

using testing::expect_gradients;
using torch::Tensor;

struct Head {
  Tensor x, W, label;
};

Head random_head(int64_t rows, int64_t channels, int64_t classes, torch::ScalarType type) {
  torch::manual_seed(3);
  const auto leaf = [&](torch::IntArrayRef size) {
    return torch::randn(size, torch::kFloat64).to(type).requires_grad_();
  };
  Head head{leaf({rows, channels}), leaf({classes, channels}), torch::randint(classes, {rows})};
  head.label.index_put_({torch::arange(1, rows, 3)}, -1);
  return head;
}

Tensor plain(const Head& head) {
  return torch::nn::functional::cross_entropy(
      torch::mm(head.x, head.W.t()), head.label,
      torch::nn::functional::CrossEntropyFuncOptions().ignore_index(-1));
}

TEST(VocabularyLoss, GradientMatchesFiniteDifference) {
  for (const auto& [rows, classes] : {std::pair<int64_t, int64_t>{1, 3}, {7, 5}, {4, 1}}) {
    const Head head = random_head(rows, 3, classes, torch::kFloat64);
    expect_gradients([&] { return vocabulary_loss(head.x, head.W, head.label); },
                     {{"x", head.x}, {"W", head.W}});
  }
}

TEST(VocabularyLoss, IsTheCrossEntropyOfTheScores) {
  const Head head = random_head(9, 4, 11, torch::kFloat64);
  const Tensor expected = plain(head), got = vocabulary_loss(head.x, head.W, head.label);
  EXPECT_NEAR(got.item<double>(), expected.item<double>(), 1e-13);
  const auto wanted = torch::autograd::grad({3 * expected}, {head.x, head.W});
  const auto found = torch::autograd::grad({3 * got}, {head.x, head.W});
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_LT((found[i] - wanted[i]).abs().max().item<double>(), 1e-13);
  }
}

TEST(VocabularyLoss, PiecesGiveTheSame) {
  const Head head = random_head(11, 4, 6, torch::kFloat64);
  const auto with = [&](int64_t at_once) {
    const Tensor loss = vocabulary_loss(head.x, head.W, head.label, at_once);
    auto all = torch::autograd::grad({loss}, {head.x, head.W});
    all.push_back(loss.detach());
    return all;
  };
  const auto whole = with(66);
  // One row at a time, and three or four rows with a short last piece.
  for (const int64_t at_once : {1, 18, 29}) {
    const auto pieces = with(at_once);
    for (size_t i = 0; i < whole.size(); ++i) {
      EXPECT_LT((pieces[i] - whole[i]).abs().max().item<double>(), 1e-14) << at_once;
    }
  }
}

TEST(VocabularyLoss, BfloatIsCloseToFloat) {
  const Head exact = random_head(40, 64, 300, torch::kFloat32);
  const Tensor x = exact.x.detach().to(torch::kBFloat16).requires_grad_();
  const Tensor got = vocabulary_loss(x, exact.W, exact.label);
  const Tensor expected = plain(exact);
  ASSERT_EQ(got.scalar_type(), torch::kFloat32);
  // A score is a sum of products of two rounded factors, rounded once more: the loss moves by the
  // largest error of a score at most.
  const double unit = std::ldexp(1.0, -9);
  const double products = torch::mm(exact.x.abs(), exact.W.abs().t()).max().item<double>();
  EXPECT_NEAR(got.item<double>(), expected.item<double>(), 3 * unit * products);
  const auto wanted = torch::autograd::grad({expected}, {exact.x, exact.W});
  const auto found = torch::autograd::grad({got}, {x, exact.W});
  ASSERT_EQ(found[1].scalar_type(), torch::kFloat32);
  // Shares move by as much of themselves, and gradients are products with rounded factors.
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double size = wanted[i].norm().item<double>();
    EXPECT_LT((found[i].to(torch::kFloat32) - wanted[i]).norm().item<double>(),
              (2 * 3 * unit * products + 4 * unit) * size);
  }
}

TEST(VocabularyLoss, NothingAskedIsNotANumber) {
  Head head = random_head(2, 3, 4, torch::kFloat32);
  head.label.fill_(-1);
  EXPECT_TRUE(std::isnan(vocabulary_loss(head.x, head.W, head.label).item<double>()));
}

}  // namespace
}  // namespace longwave::ops
