// SPDX-License-Identifier: Apache-2.0

/// Functions of ours compute in the types that they are given, also where autocast is on: kernels
/// beside products of another type would read the wrong numbers.

#include "longwave/ops/testing/autocast_torch.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "longwave/nn/mixing_torch.h"
#include "longwave/nn/norm_torch.h"
#include "longwave/ops/attention/attention_operations_torch.h"
#include "longwave/ops/dense_scan/dense_scan_torch.h"
#include "longwave/ops/ssd/ssd_operations_torch.h"
#include "longwave/ops/vocabulary_loss/vocabulary_loss_torch.h"

namespace longwave::nn {
namespace {

using torch::Tensor;

/// The same bits, and the same gradient of x, with autocast as without.
template <typename Function>
void expect_the_same(const char* what, const std::vector<int64_t>& shape, const Function& f) {
  const Tensor x = torch::randn(shape).requires_grad_();
  const Tensor expected = f(x);
  Tensor got;
  {
    const ops::testing::Autocast autocast;
    got = f(x);
  }
  EXPECT_EQ(got.scalar_type(), torch::kFloat32) << what;
  EXPECT_TRUE(torch::equal(got, expected)) << what;
  EXPECT_TRUE(torch::equal(torch::autograd::grad({got.sum()}, {x})[0],
                           torch::autograd::grad({expected.sum()}, {x})[0]))
      << what;
}

TEST(Autocast, OperatorsComputeInTheTypesTheyAreGiven) {
  torch::manual_seed(3);
  const Tensor W = torch::randn({5, 4});
  const Tensor label = torch::tensor({0, 4, -1}, torch::kInt64);
  expect_the_same("vocabulary_loss", {3, 4},
                  [&](const Tensor& x) { return ops::vocabulary_loss(x, W, label); });
  const Tensor A = 0.3 * torch::randn({2, 3, 3}), B = torch::randn({2, 3});
  expect_the_same("dense_scan", {2, 9, 2}, [&](const Tensor& u) {
    return ops::dense_scan(u, A, B, B, torch::ones({2}), {}).y;
  });
  const Tensor dt = torch::randn({2, 9, 3}), BC = torch::randn({2, 9, 1, 4});
  expect_the_same("ssd", {2, 9, 3, 2}, [&](const Tensor& x) {
    return ops::ssd_of_operations({.x = x,
                                   .dt = dt,
                                   .A = -torch::ones({3}),
                                   .B = BC,
                                   .C = BC,
                                   .D = {},
                                   .dt_bias = {},
                                   .h0 = {},
                                   .starts = {}})
        .y;
  });
  const Tensor k = torch::randn({2, 9, 1, 4});
  expect_the_same("attention", {2, 9, 2, 4}, [&](const Tensor& q) {
    return ops::attention_of_operations(
        {.scale = 0.5, .window = 5, .q = q, .k = k, .v = k, .seen = {}, .starts = {}});
  });
}

TEST(Autocast, LayersComputeInTheTypesTheyAreGiven) {
  torch::manual_seed(4);
  const std::map<std::string, Tensor> parameters = {{"weight", torch::randn({8, 4})},
                                                    {"bias", torch::randn({8})}};
  const ParameterLookup lookup = [&](const std::string& name) { return parameters.at(name); };
  expect_the_same("mixing", {2, 3, 4}, [&](const Tensor& x) {
    return mixing({.kind = MixingKind::kGlu,
                   .activation = ops::Activation::kGelu,
                   .x = x,
                   .v = x,
                   .mask = {}},
                  lookup);
  });
  const Tensor scale = torch::randn({4});
  expect_the_same("norm_linear", {2, 3, 4}, [&](const Tensor& x) {
    return norm_linear({.kind = NormKind::kRms,
                        .phase = Phase::kTraining,
                        .x = x,
                        .W = parameters.at("weight"),
                        .b = {}},
                       [&](const std::string&) { return scale; });
  });
}

}  // namespace
}  // namespace longwave::nn
