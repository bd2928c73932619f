// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/session.h"

#include <gtest/gtest.h>

#include <limits>

#include "longwave/base/error.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/models/testing/model_case.h"

namespace longwave::runtime {
namespace {

using longwave::testing::message_of;
using longwave::testing::TemporaryFolder;
using models::testing::ModelCase;

constexpr models::Interface kPerStep = {models::Interface::Input::kReal, 2,
                                        models::Interface::Output::kStep, 3};
constexpr models::Interface kTokens = {models::Interface::Input::kTokens, 5,
                                       models::Interface::Output::kSequence, 2};

std::shared_ptr<const Model> make_model(const models::Interface& interface, uint64_t seed = 1,
                                        double rate = 1) {
  const ModelCase test_case{"model", {}, interface};
  return std::make_shared<const Model>(test_case.config(), test_case.weights(seed), rate);
}

std::vector<float> random_input(int64_t count) {
  std::vector<float> input(count);
  Random random(3);
  for (float& x : input) x = static_cast<float>(random.normal());
  return input;
}

TEST(Session, StepEqualsPrefill) {
  const auto model = make_model(kPerStep);
  constexpr int64_t kTime = 31;
  const std::vector<float> input = random_input(2 * kTime);
  Session all(model), each(model);
  const auto outputs = all.prefill(input);
  ASSERT_EQ(outputs.size(), 3u * kTime);
  for (int64_t t = 0; t < kTime; ++t) {
    const auto answer = each.step(std::span(input).subspan(2 * t, 2));
    const std::vector<float> expected(outputs.begin() + 3 * t, outputs.begin() + 3 * (t + 1));
    EXPECT_TRUE(models::testing::close("output", model->network(), kTime, expected,
                                       {answer.begin(), answer.end()}));
  }
  EXPECT_EQ(all.state().position, kTime);
  EXPECT_EQ(each.state().position, kTime);
}

TEST(Session, TokensAreTaken) {
  Session all(make_model(kTokens)), each(make_model(kTokens));
  const std::vector<int64_t> tokens = {0, 4, 2, 2, 1};
  const auto answer = all.prefill(tokens);
  for (int64_t token : tokens) each.step(token);
  const auto last = each.step(int64_t{3});
  const auto more = all.prefill(std::vector<int64_t>{3});
  ASSERT_EQ(answer.size(), 2u);
  EXPECT_TRUE(models::testing::close("output", all.model().network(), 6, {more.begin(), more.end()},
                                     {last.begin(), last.end()}));
}

TEST(Session, StateRoundTrip) {
  const TemporaryFolder folder;
  const auto model = make_model(kPerStep);
  const std::vector<float> first = random_input(2 * 17), rest = random_input(2 * 9);
  Session session(model);
  session.prefill(first);
  const State forked = session.state();
  save_state(folder / "state", forked);
  const auto straight = session.prefill(rest);
  const std::vector<float> expected(straight.begin(), straight.end());

  // Rewound here, and restored from the file in a session of its own: the same bits.
  session.restore(forked);
  const auto rewound = session.prefill(rest);
  EXPECT_TRUE(std::ranges::equal(expected, rewound));
  const State loaded = load_state(folder / "state");
  EXPECT_EQ(loaded, forked);
  Session other(model);
  other.restore(loaded);
  EXPECT_TRUE(std::ranges::equal(expected, other.prefill(rest)));
  EXPECT_EQ(other.state(), session.state());
}

TEST(Session, ResetIsTheBeginning) {
  const auto model = make_model(kPerStep);
  Session used(model);
  used.prefill(random_input(10));
  used.reset();
  EXPECT_EQ(used.state(), Session(model).state());
}

TEST(Session, RefusesTheStateOfAnotherModel) {
  Session session(make_model(kPerStep));
  const State before = session.state();
  const Session others[] = {Session(make_model(kPerStep, 2)), Session(make_model(kPerStep, 1, 2)),
                            Session(make_model(kTokens))};
  for (const Session& other : others) {
    EXPECT_THROW(session.restore(other.state()), InvalidArgument);
  }
  EXPECT_EQ(session.state(), before);
  EXPECT_NO_THROW(session.restore(Session(make_model(kPerStep)).state()));
}

TEST(Session, BadInputLeavesTheStateUntouched) {
  Session session(make_model(kPerStep)), tokens(make_model(kTokens));
  session.step(std::vector<float>{1, 2});
  tokens.step(int64_t{1});
  const State before = session.state(), tokens_before = tokens.state();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(session.step(std::vector<float>{1}), InvalidArgument);
  EXPECT_THROW(session.step(std::vector<float>{1, nan}), InvalidArgument);
  EXPECT_THROW(session.prefill(std::vector<float>{1, 2, 3}), InvalidArgument);
  EXPECT_THROW(session.prefill(std::vector<float>{1, 2, nan, 4}), InvalidArgument);
  EXPECT_THROW(session.step(int64_t{1}), InvalidArgument);
  EXPECT_THROW(tokens.step(int64_t{5}), InvalidArgument);
  EXPECT_THROW(tokens.prefill(std::vector<int64_t>{0, -1}), InvalidArgument);
  EXPECT_THROW(tokens.step(std::vector<float>{1}), InvalidArgument);
  EXPECT_EQ(session.state(), before);
  EXPECT_EQ(tokens.state(), tokens_before);
}

TEST(Session, RateMustBePositive) {
  for (double rate : {0.0, -1.0, std::numeric_limits<double>::infinity(), std::nan("")}) {
    EXPECT_THROW(make_model(kPerStep, 1, rate), InvalidArgument);
  }
}

TEST(State, DamagedFilesAreRefused) {
  State state{.fingerprint = 5, .position = 9, .values = {1, -2, 0.5f}};
  const std::vector<std::byte> good = format_state(state);
  ASSERT_EQ(parse_state(good, "test"), state);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_THROW(parse_state(std::span(good).first(size), "test"), DataError) << size;
  }
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::vector<std::byte> bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_THROW(parse_state(bad, "test"), DataError) << bit;
  }
  std::vector<std::byte> longer = good;
  longer.push_back(std::byte{0});
  EXPECT_THROW(parse_state(longer, "test"), DataError);
  state.position = -1;
  EXPECT_THROW(parse_state(format_state(state), "test"), DataError);
}

TEST(State, MessagesNameTheFile) {
  const std::vector<std::byte> empty;
  EXPECT_NE(message_of<DataError>([&] { parse_state(empty, "here.state"); }).find("here.state"),
            std::string::npos);
  EXPECT_THROW(load_state("/nonexistent/file"), IoError);
}

}  // namespace
}  // namespace longwave::runtime
