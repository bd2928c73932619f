// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "longwave/base/testing/allocation_count.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/batch.h"
#include "longwave/runtime/session.h"

namespace longwave::runtime {
namespace {

using longwave::testing::allocation_count;

/// Layers of every kind of state.
std::shared_ptr<const Model> make_model() {
  const models::testing::ModelCase test_case = {
      "tokens",
      {"model.pattern=s4d mamba mamba2 attention lstm"},
      {models::Interface::Input::kTokens, 11, models::Interface::Output::kStep, 11}};
  return std::make_shared<const Model>(test_case.config(), test_case.weights(1));
}

TEST(Session, StepNeverAllocates) {
  Session session(make_model());
  session.step(int64_t{1});
  const int64_t before = allocation_count();
  for (int64_t token = 0; token < 10; ++token) session.step(token);
  EXPECT_EQ(allocation_count(), before);
}

TEST(Batch, StepNeverAllocates) {
  Batch batch(make_model(), 6);
  std::vector<Batch::Id> ids;
  for (int i = 0; i < 6; ++i) ids.push_back(batch.join());
  const std::vector<int64_t> tokens = {1, 2, 3, 4, 5, 6};
  batch.step(ids, tokens);
  const int64_t before = allocation_count();
  for (size_t i = 0; i < 10; ++i) {
    std::swap(ids[0], ids[i % 6]);
    batch.step(std::span(ids).first(3), std::span(tokens).first(3));
  }
  EXPECT_EQ(allocation_count(), before);
}

}  // namespace
}  // namespace longwave::runtime
