// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/batch.h"

#include <gtest/gtest.h>

#include <cstring>
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

std::shared_ptr<const Model> token_model() { return make_model({"tokens", {}, kTokens}); }

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

/// A batch beside a session for each of its sequences.
class Twins {
 public:
  Twins(std::shared_ptr<const Model> model, int64_t capacity, uint64_t seed)
      : model_(model), batch_(model, capacity), random_(seed) {}

  Batch& batch() { return batch_; }
  size_t size() const { return ids_.size(); }

  void join() {
    ids_.push_back(batch_.join());
    sessions_.push_back(std::make_unique<Session>(model_));
  }

  void join_from(size_t i) {
    sessions_.push_back(std::make_unique<Session>(model_));
    sessions_.back()->restore(sessions_[i]->state());
    ids_.push_back(batch_.join(batch_.state(ids_[i])));
  }

  void leave(size_t i) {
    batch_.leave(ids_[i]);
    ids_.erase(ids_.begin() + static_cast<int64_t>(i));
    sessions_.erase(sessions_.begin() + static_cast<int64_t>(i));
  }

  void prefill(size_t i, int64_t time) {
    const Piece piece = draw(time);
    const bool same = piece.tokens.empty() ? same_bits(batch_.prefill(ids_[i], piece.samples),
                                                       sessions_[i]->prefill(piece.samples))
                                           : same_bits(batch_.prefill(ids_[i], piece.tokens),
                                                       sessions_[i]->prefill(piece.tokens));
    EXPECT_TRUE(same) << "prefill of sequence " << i;
  }

  /// Steps those of the sequences that are `chosen`.
  template <typename Chosen>
  void step(const Chosen& chosen) {
    std::vector<size_t> which;
    std::vector<Batch::Id> ids;
    for (size_t i = 0; i < ids_.size(); ++i) {
      if (!chosen(i)) continue;
      which.push_back(i);
      ids.push_back(ids_[i]);
    }
    const Piece piece = draw(std::ssize(which));
    const auto answers =
        model_->takes_tokens() ? batch_.step(ids, piece.tokens) : batch_.step(ids, piece.samples);
    const size_t width = model_->output_size(), in = model_->input_size();
    ASSERT_EQ(answers.size(), width * which.size());
    for (size_t i = 0; i < which.size(); ++i) {
      Session& session = *sessions_[which[i]];
      const auto expected = model_->takes_tokens()
                                ? session.step(piece.tokens[i])
                                : session.step(std::span(piece.samples).subspan(i * in, in));
      EXPECT_TRUE(same_bits(answers.subspan(i * width, width), expected))
          << "step of sequence " << which[i];
    }
  }
  void step() {
    step([](size_t) { return true; });
  }

  void expect_same_states() {
    for (size_t i = 0; i < ids_.size(); ++i) {
      EXPECT_EQ(batch_.state(ids_[i]), sessions_[i]->state()) << "sequence " << i;
      EXPECT_EQ(batch_.position(ids_[i]), sessions_[i]->state().position);
    }
  }

 private:
  struct Piece {
    std::vector<int64_t> tokens;
    std::vector<float> samples;
  };
  Piece draw(int64_t time) {
    Piece piece;
    const auto width = static_cast<int64_t>(model_->input_size());
    for (int64_t t = 0; t < time && model_->takes_tokens(); ++t) {
      piece.tokens.push_back(random_.integer(width));
    }
    for (int64_t i = 0; i < time * width && !model_->takes_tokens(); ++i) {
      piece.samples.push_back(static_cast<float>(random_.normal()));
    }
    return piece;
  }

  std::shared_ptr<const Model> model_;
  Batch batch_;
  Random random_;
  std::vector<Batch::Id> ids_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

/// Sequences of different ages that come, pause, fork and go.
void come_and_go(const std::shared_ptr<const Model>& model) {
  Twins twins(model, 5, 3);
  twins.join();
  twins.step();
  twins.join();
  twins.prefill(1, 3);
  twins.step();
  for (int i = 0; i < 3; ++i) twins.join();
  twins.step();
  twins.step([](size_t i) { return i % 2 == 1; });
  twins.leave(1);
  twins.step();
  twins.join_from(2);
  twins.step();
  twins.leave(4);
  twins.leave(0);
  twins.step([](size_t i) { return i != 1; });
  twins.expect_same_states();
}

class BatchOfCase : public ::testing::TestWithParam<ModelCase> {};
INSTANTIATE_TEST_SUITE_P(Models, BatchOfCase, ::testing::ValuesIn(models::testing::causal_cases()),
                         models::testing::case_name<::testing::TestParamInfo<ModelCase>>);

TEST_P(BatchOfCase, ASequenceHasTheBitsOfASession) { come_and_go(make_model(GetParam())); }

TEST(Batch, PublishedModelsHaveTheBitsOfASession) { testing::for_published_models(come_and_go); }

TEST(Batch, MatricesOfEveryTypeHaveTheBitsOfASession) {
  testing::for_matrices_of_every_type(come_and_go);
}

TEST(Batch, AsManyAsAreExactHaveTheBitsOfASession) {
  Twins twins(token_model(), Batch::kExactRows, 1);
  for (int64_t i = 0; i < Batch::kExactRows; ++i) twins.join();
  for (int t = 0; t < 3; ++t) twins.step();
  twins.expect_same_states();
}

TEST(Batch, BeyondThatTheAnswersAreClose) {
  const auto model = token_model();
  constexpr int64_t kMany = Batch::kExactRows + 9;
  Batch batch(model, kMany);
  Session alone(model);
  std::vector<Batch::Id> ids;
  for (int64_t i = 0; i < kMany; ++i) ids.push_back(batch.join());
  for (int64_t token : {3, 1, 4}) {
    const auto got = batch.step(ids, std::vector<int64_t>(kMany, token));
    const auto expected = alone.step(token);
    for (int64_t i = 0; i < kMany; ++i) {
      const auto row = got.subspan(static_cast<size_t>(i) * 11, 11);
      EXPECT_TRUE(models::testing::close("logits", model->network(), 3,
                                         {expected.begin(), expected.end()},
                                         {row.begin(), row.end()}));
    }
  }
}

TEST(Batch, StatesGoToSessionsAndBack) {
  const auto model = token_model();
  Session session(model);
  session.prefill(std::vector<int64_t>{1, 2, 3});
  Batch batch(model, 2);
  const Batch::Id id = batch.join(session.state());
  const auto expected = session.step(int64_t{7});
  EXPECT_TRUE(same_bits(batch.step({&id, 1}, std::vector<int64_t>{7}), expected));
  session.restore(batch.state(id));
  const State before = batch.state(id);
  batch.prefill(id, std::vector<int64_t>{4, 5});
  batch.restore(id, before);
  EXPECT_EQ(batch.state(id), session.state());
}

TEST(Batch, RefusalsLeaveEveryStateUntouched) {
  const auto model = token_model();
  Batch batch(model, 2);
  const std::vector<Batch::Id> ids = {batch.join(), batch.join()};
  batch.step(ids, std::vector<int64_t>{1, 2});
  const State first = batch.state(ids[0]), second = batch.state(ids[1]);
  const std::vector<int64_t> tokens = {1, 2};
  const std::vector<Batch::Id> twice = {ids[0], ids[0]}, stranger = {ids[0], Batch::Id{17}};
  EXPECT_THROW(batch.join(), InvalidArgument);
  EXPECT_THROW(batch.step(twice, tokens), InvalidArgument);
  EXPECT_THROW(batch.step(stranger, tokens), InvalidArgument);
  EXPECT_THROW(batch.step(ids, std::span(tokens).first(1)), InvalidArgument);
  EXPECT_THROW(batch.step(ids, std::vector<int64_t>{1, 11}), InvalidArgument);
  EXPECT_THROW(batch.step(ids, std::vector<float>{1, 2}), InvalidArgument);
  EXPECT_THROW(batch.prefill(ids[0], std::vector<int64_t>{-1}), InvalidArgument);
  EXPECT_THROW(batch.restore(ids[0], State{}), InvalidArgument);
  EXPECT_EQ(batch.state(ids[0]), first);
  EXPECT_EQ(batch.state(ids[1]), second);
  batch.leave(ids[0]);
  EXPECT_THROW(batch.leave(ids[0]), InvalidArgument);
  EXPECT_THROW(batch.state(ids[0]), InvalidArgument);
  EXPECT_THROW(batch.join(State{}), InvalidArgument);
  EXPECT_EQ(batch.size(), 1);
  EXPECT_EQ(batch.state(ids[1]), second);
  EXPECT_THROW(Batch(model, 0), InvalidArgument);
  const auto ahead = make_model({"ahead", {"s4d.bidirectional=true"}, {}});
  EXPECT_THROW(Batch(ahead, 2), InvalidArgument);
}

TEST(Batch, AFullContextStopsTheStepForAll) {
  const auto model = Model::load(testing::kFixtures / "jamba", 1, 4);
  Batch batch(model, 2);
  const std::vector<Batch::Id> ids = {batch.join(), batch.join()};
  batch.prefill(ids[0], std::vector<int64_t>{1, 2, 3, 4});
  const State second = batch.state(ids[1]);
  EXPECT_THROW(batch.step(ids, std::vector<int64_t>{1, 2}), InvalidArgument);
  EXPECT_EQ(batch.state(ids[1]), second);
  EXPECT_NO_THROW(batch.step(std::span(ids).last(1), std::vector<int64_t>{2}));
}

}  // namespace
}  // namespace longwave::runtime
