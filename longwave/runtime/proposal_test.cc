// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/session.h"
#include "longwave/runtime/testing/language_models.h"

namespace longwave::runtime {
namespace {

using models::testing::ModelCase;
using testing::kTokens;
using testing::make_model;

std::vector<float> copied(std::span<const float> values) { return {values.begin(), values.end()}; }

std::vector<int64_t> random_tokens(int64_t count, const Model& model, uint64_t seed) {
  Random random(seed);
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(random.integer(static_cast<int64_t>(model.input_size())));
  }
  return tokens;
}

/// Proposes after a prompt, keeps `kept` and goes on, beside a session that steps.
void propose_and_keep(const std::shared_ptr<const Model>& model, int64_t prompt, int64_t count,
                      int64_t kept) {
  SCOPED_TRACE(::testing::Message() << prompt << " before, " << kept << " of " << count);
  Session stepped(model), proposed(model);
  for (const int64_t token : random_tokens(prompt, *model, 1)) {
    stepped.step(token);
    proposed.step(token);
  }
  const std::vector<int64_t> tokens = random_tokens(count, *model, 2);
  const std::vector<float> answers = copied(proposed.propose(tokens));
  std::vector<float> expected;
  State before = stepped.state();
  for (int64_t i = 0; i < count; ++i) {
    if (i == kept) before = stepped.state();
    const auto answer = stepped.step(tokens[static_cast<size_t>(i)]);
    expected.insert(expected.end(), answer.begin(), answer.end());
  }
  EXPECT_EQ(answers, expected);
  EXPECT_EQ(proposed.state(), stepped.state());
  proposed.keep(count);
  if (kept < count) stepped.restore(before);
  proposed.keep(kept + (count - kept) / 2);
  proposed.keep(kept);
  EXPECT_EQ(proposed.state(), stepped.state());
  EXPECT_EQ(copied(proposed.step(tokens[0])), copied(stepped.step(tokens[0])));
}

void propose_in_all_ways(const std::shared_ptr<const Model>& model) {
  propose_and_keep(model, 0, 1, 0);
  propose_and_keep(model, 3, 5, 2);
  // More than the windows of the cases hold.
  propose_and_keep(model, 6, 11, 1);
  propose_and_keep(model, 1, 4, 4);
}

/// The cases that go through tokens, one answer a step.
std::vector<ModelCase> cases() {
  std::vector<ModelCase> cases = models::testing::causal_cases();
  for (ModelCase& one : cases) one.interface = kTokens;
  return cases;
}

class ProposalOfCase : public ::testing::TestWithParam<ModelCase> {};
INSTANTIATE_TEST_SUITE_P(Models, ProposalOfCase, ::testing::ValuesIn(cases()),
                         models::testing::case_name<::testing::TestParamInfo<ModelCase>>);

TEST_P(ProposalOfCase, HasTheBitsOfSteps) { propose_in_all_ways(make_model(GetParam())); }

TEST(Proposal, PublishedModelsHaveTheBitsOfSteps) {
  testing::for_published_models(propose_in_all_ways);
}

TEST(Proposal, MatricesOfEveryTypeHaveTheBitsOfSteps) {
  testing::for_matrices_of_every_type(propose_in_all_ways);
}

TEST(Proposal, AsManyAsAreTakenHaveTheBitsOfSteps) {
  const ModelCase one = {"one", {"model.pattern=mamba attention", "attention.window=16"}, kTokens};
  const auto model = make_model(one);
  propose_and_keep(model, 2, Session::kMostProposed, 20);
  Session session(model);
  EXPECT_THROW(session.propose(random_tokens(Session::kMostProposed + 1, *model, 1)),
               InvalidArgument);
}

TEST(Proposal, OnlyWhatWasProposedLastIsTakenBack) {
  const ModelCase one = {"one", {"model.pattern=mamba"}, kTokens};
  Session session(make_model(one));
  const std::vector<int64_t> tokens = {1, 2, 3};
  EXPECT_THROW(session.keep(1), InvalidArgument);
  EXPECT_NO_THROW(session.keep(0));
  session.propose(tokens);
  EXPECT_THROW(session.keep(-1), InvalidArgument);
  EXPECT_THROW(session.keep(4), InvalidArgument);
  session.keep(2);
  EXPECT_THROW(session.keep(3), InvalidArgument);
  session.step(int64_t{1});
  const State after = session.state();
  EXPECT_THROW(session.keep(1), InvalidArgument);
  session.propose(tokens);
  session.restore(after);
  EXPECT_THROW(session.keep(1), InvalidArgument);
  EXPECT_THROW(session.propose(std::vector<int64_t>{1, 11}), InvalidArgument);
  EXPECT_EQ(session.state(), after);
}

TEST(Proposal, AFullContextRefusesWithTheStateUntouched) {
  Session session(Model::load(testing::kFixtures / "jamba", 1, 6));
  session.prefill(std::vector<int64_t>{1, 2, 3, 4});
  EXPECT_EQ(session.steps_left(), 2);
  const State before = session.state();
  EXPECT_THROW(session.propose(std::vector<int64_t>{1, 2, 3}), InvalidArgument);
  EXPECT_EQ(session.state(), before);
  session.propose(std::vector<int64_t>{1, 2});
  EXPECT_EQ(session.steps_left(), 0);
  session.keep(1);
  EXPECT_EQ(session.steps_left(), 1);
}

}  // namespace
}  // namespace longwave::runtime
