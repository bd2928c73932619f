// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/state_form.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "longwave/base/error.h"
#include "longwave/runtime/batch.h"
#include "longwave/runtime/perplexity.h"
#include "longwave/runtime/session.h"
#include "longwave/runtime/testing/language_models.h"

namespace longwave::runtime {
namespace {

using testing::kTokens;
using testing::make_model;

constexpr StateForm kRounded[] = {StateForm::kBFloat16, StateForm::kInt8};

/// Numbers of all magnitudes, with zeros of both signs.
std::vector<float> numbers(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    const double magnitude = std::exp2(static_cast<double>(random.integer(80)) - 40);
    value = static_cast<float>(random.normal() * magnitude);
    if (random.integer(8) == 0) value = random.integer(2) == 0 ? 0.0f : -0.0f;
  }
  return values;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

TEST(StateForm, RoundingTwiceIsRoundingOnceAndPackingKeepsTheBits) {
  for (const StateForm form : {StateForm::kFloat32, StateForm::kBFloat16, StateForm::kInt8}) {
    for (const int64_t count : {0, 1, 31, 32, 33, 997, 40000}) {
      const std::vector<StatePart> parts = {{form, count}, {StateForm::kFloat32, 3}, {form, 5}};
      std::vector<float> values = numbers(count + 8, 7);
      round_state(values, parts);
      std::vector<float> again = values;
      round_state(again, parts);
      EXPECT_TRUE(same_bits(values, again)) << name_of(form) << " " << count;
      std::vector<std::byte> bytes(static_cast<size_t>(packed_bytes(parts)), std::byte{0xff});
      pack(values, parts, bytes);
      std::vector<float> back(values.size(), std::nanf(""));
      unpack(bytes, parts, back);
      EXPECT_TRUE(same_bits(values, back)) << name_of(form) << " " << count;
    }
  }
}

TEST(StateForm, KeysValuesAndCountsStayAsTheyAre) {
  const auto model = make_model(
      {"hybrid", {"model.pattern=attention mamba2+attention mamba", "model.d_model=64"}, kTokens});
  Session exact(model), kept(model, StateForm::kInt8);
  const std::vector<int64_t> tokens = {1, 2, 3};
  exact.prefill(tokens);
  kept.prefill(tokens);
  ASSERT_NE(exact.state().values, kept.state().values);
  size_t at = 0;
  for (const StatePart& part : kept.state().parts) {
    const auto size = static_cast<size_t>(part.count);
    const bool same = same_bits(std::span(exact.state().values).subspan(at, size),
                                std::span(kept.state().values).subspan(at, size));
    // The first layer's keys and values are made of the same inputs.
    EXPECT_TRUE(same || at > 0);
    at += size;
  }
  EXPECT_EQ(at, kept.state().values.size());
}

TEST(StateForm, SavedForkedAndPackedStatesGoOnBitwise) {
  testing::for_published_models([](const std::shared_ptr<const Model>& model) {
    for (const StateForm form : kRounded) {
      Session session(model, form), other(model, form);
      const std::vector<int64_t> tokens = {1, 2, 3, 4, 5};
      session.prefill(tokens);
      session.step(int64_t{3});
      const State fork = session.state();
      const PackedState packed = pack(fork);
      EXPECT_EQ(std::ssize(packed.bytes), state_bytes(model->network(), form));
      EXPECT_LT(packed.bytes.size(), sizeof(float) * fork.values.size());
      EXPECT_EQ(unpack(packed), fork);
      EXPECT_EQ(parse_state(format_state(fork), "test"), fork);
      const auto answer = session.step(int64_t{2});
      const std::vector<float> expected(answer.begin(), answer.end());
      other.restore(unpack(packed));
      EXPECT_TRUE(same_bits(expected, other.step(int64_t{2})));
      EXPECT_EQ(other.state(), session.state());
    }
  });
}

TEST(StateForm, ABatchGivesTheBitsOfSessions) {
  const auto model = make_model({"pair", {"model.pattern=mamba mamba2"}, kTokens});
  for (const StateForm form : kRounded) {
    Batch batch(model, 2, form);
    Session one(model, form), two(model, form);
    const std::vector<int64_t> prompt = {1, 2, 3};
    const std::vector<Batch::Id> ids = {batch.join(), batch.join()};
    batch.prefill(ids[1], prompt);
    two.prefill(prompt);
    for (int64_t t = 0; t < 5; ++t) {
      const std::vector<int64_t> tokens = {t, t + 1};
      const auto answers = batch.step(ids, tokens);
      EXPECT_TRUE(same_bits(answers.first(11), one.step(t)));
      EXPECT_TRUE(same_bits(answers.subspan(11), two.step(t + 1)));
    }
    EXPECT_EQ(batch.state(ids[0]), one.state());
    EXPECT_EQ(batch.state(ids[1]), two.state());
  }
}

TEST(StateForm, StatesOfOtherFormsAreRoundedWhenRestored) {
  const auto model = make_model({"pair", {"model.pattern=mamba mamba2"}, kTokens});
  Session exact(model), kept(model, StateForm::kInt8);
  exact.step(int64_t{4});
  kept.step(int64_t{4});
  Session from_exact(model, StateForm::kInt8), from_kept(model);
  from_exact.restore(exact.state());
  EXPECT_EQ(from_exact.state(), kept.state());
  from_kept.restore(kept.state());
  EXPECT_EQ(from_kept.state().values, kept.state().values);
  EXPECT_TRUE(from_kept.state().parts.empty());
  const std::vector<int64_t> tokens = {1, 2};
  EXPECT_THROW(kept.propose(tokens), InvalidArgument);
}

TEST(StateForm, TheErrorIsMeasuredAgainstFloat32) {
  const auto model = make_model({"pair", {"model.pattern=mamba mamba2"}, kTokens});
  std::vector<int64_t> tokens(200);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int64_t>(i * i % 11);
  const auto all = [](int64_t) { return true; };
  Session session(model);
  const Perplexity exact = measure_perplexity(session, tokens, all);
  const StateError none = measure_state_error(model, StateForm::kFloat32, tokens, all);
  EXPECT_EQ(none.exact.nats, exact.nats);
  EXPECT_LT(none.largest, 1e-4 * none.magnitude);
  const StateError halves = measure_state_error(model, StateForm::kBFloat16, tokens, all);
  EXPECT_EQ(halves.kept.tokens, exact.tokens);
  EXPECT_GT(halves.largest, none.largest);
  EXPECT_LT(halves.largest, 0.1 * halves.magnitude);
}

TEST(State, DamagedPartsAreRefused) {
  const auto model = make_model({"one", {"model.pattern=mamba"}, kTokens});
  Session session(model, StateForm::kInt8);
  session.step(int64_t{1});
  const std::vector<std::byte> good = format_state(session.state());
  for (size_t size = 0; size < good.size(); size += 1 + size / 16) {
    EXPECT_THROW(parse_state(std::span(good).first(size), "test"), DataError) << size;
  }
  for (size_t bit = 0; bit < 8 * good.size(); bit += 7) {
    std::vector<std::byte> bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_THROW(parse_state(bad, "test"), DataError) << bit;
  }
}

}  // namespace
}  // namespace longwave::runtime
