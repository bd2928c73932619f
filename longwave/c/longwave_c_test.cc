// SPDX-License-Identifier: Apache-2.0
#include "longwave/longwave_c.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "longwave/longwave.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/text/sentencepiece_file.h"

namespace longwave::testing {
namespace {

using models::Interface;

const models::testing::ModelCase kBytesModel = {
    "Bytes", {}, {Interface::Input::kTokens, 256, Interface::Output::kStep, 256}};

/// A model on disk, loaded through the C interface.
class CInterface : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ =
        std::filesystem::path(::testing::TempDir()) / ("longwave_c_" + std::string(info->name()));
    save_model_folder(folder_, kBytesModel.config(), kBytesModel.weights(5));
    runtime::write_tokenizer(folder_, Tokenizer::bytes());
    ASSERT_EQ(longwave_model_load(folder_.c_str(), &model_), LONGWAVE_OK) << longwave_last_error();
    ASSERT_EQ(longwave_session_create(model_, &session_), LONGWAVE_OK);
  }
  void TearDown() override {
    // The session keeps what it needs of its model.
    longwave_model_free(model_);
    longwave_session_free(session_);
    std::filesystem::remove_all(folder_);
  }

  std::vector<float> step(int64_t id) {
    const float* answer = nullptr;
    EXPECT_EQ(longwave_step_token(session_, id, &answer), LONGWAVE_OK) << longwave_last_error();
    return {answer, answer + 256};
  }

  std::filesystem::path folder_;
  longwave_model* model_ = nullptr;
  longwave_session* session_ = nullptr;
};

TEST_F(CInterface, GivesTheNumbersOfTheLibrary) {
  EXPECT_EQ(longwave_c_version(), LONGWAVE_C_VERSION);
  EXPECT_EQ(longwave_model_takes_tokens(model_), 1);
  EXPECT_EQ(longwave_model_input_size(model_), 256);
  EXPECT_EQ(longwave_model_output_size(model_), 256);
  EXPECT_EQ(longwave_model_has_tokenizer(model_), 1);
  Session session(Model::load(folder_));
  const std::vector<int64_t> ids = {72, 101, 108};
  const auto expected = session.prefill(ids);
  const float* answers = nullptr;
  size_t count = 0;
  ASSERT_EQ(longwave_prefill_tokens(session_, ids.data(), ids.size(), &answers, &count),
            LONGWAVE_OK);
  ASSERT_EQ(count, expected.size());
  EXPECT_EQ(std::memcmp(answers, expected.data(), count * sizeof(float)), 0);
  EXPECT_EQ(longwave_session_position(session_), 3);
  const auto next = session.step(int64_t{5});
  EXPECT_EQ(step(5), std::vector<float>(next.begin(), next.end()));
}

TEST_F(CInterface, ABatchHasTheNumbersOfSessions) {
  longwave_batch* batch = nullptr;
  longwave_state* state = nullptr;
  ASSERT_EQ(longwave_batch_create(model_, 2, &batch), LONGWAVE_OK);
  step(7);
  ASSERT_EQ(longwave_state_of(session_, &state), LONGWAVE_OK);
  int64_t sequences[2] = {}, third = 0;
  ASSERT_EQ(longwave_batch_join(batch, state, &sequences[0]), LONGWAVE_OK);
  ASSERT_EQ(longwave_batch_join(batch, nullptr, &sequences[1]), LONGWAVE_OK);
  EXPECT_EQ(longwave_batch_join(batch, nullptr, &third), LONGWAVE_INVALID_ARGUMENT);
  const int64_t seven = 7, ids[] = {9, 9};
  const float* answers = nullptr;
  size_t count = 0;
  ASSERT_EQ(longwave_batch_prefill_tokens(batch, sequences[1], &seven, 1, &answers, &count),
            LONGWAVE_OK);
  EXPECT_EQ(count, 256u);
  ASSERT_EQ(longwave_batch_step_tokens(batch, sequences, ids, 2, &answers), LONGWAVE_OK);
  const std::vector<float> expected = step(9);
  EXPECT_EQ(std::vector<float>(answers, answers + 256), expected);
  const float sample = 0;
  EXPECT_EQ(longwave_batch_step(batch, sequences, 2, &sample, 1, &answers),
            LONGWAVE_INVALID_ARGUMENT);
  EXPECT_EQ(longwave_batch_leave(batch, sequences[0]), LONGWAVE_OK);
  EXPECT_EQ(longwave_batch_leave(batch, sequences[0]), LONGWAVE_INVALID_ARGUMENT);
  longwave_state* left = nullptr;
  EXPECT_EQ(longwave_batch_state_of(batch, sequences[0], &left), LONGWAVE_INVALID_ARGUMENT);
  ASSERT_EQ(longwave_batch_state_of(batch, sequences[1], &left), LONGWAVE_OK);
  EXPECT_EQ(longwave_state_position(left), 2);
  longwave_state_free(left);
  longwave_state_free(state);
  longwave_batch_free(batch);
}

TEST_F(CInterface, ProposedTokensAreTakenBackBitwise) {
  const std::vector<float> first = step(7);
  const int64_t ids[] = {1, 2, 3};
  const float* answers = nullptr;
  size_t count = 0;
  ASSERT_EQ(longwave_propose_tokens(session_, ids, 3, &answers, &count), LONGWAVE_OK);
  ASSERT_EQ(count, 3u * 256);
  const std::vector<float> second(answers + 256, answers + 512);
  EXPECT_EQ(longwave_keep_tokens(session_, 4), LONGWAVE_INVALID_ARGUMENT);
  EXPECT_EQ(longwave_keep_tokens(session_, SIZE_MAX), LONGWAVE_INVALID_ARGUMENT);
  ASSERT_EQ(longwave_keep_tokens(session_, 1), LONGWAVE_OK);
  EXPECT_EQ(longwave_session_position(session_), 2);
  EXPECT_EQ(step(2), second);
}

TEST_F(CInterface, ForkRewindSaveAndLoadAreBitwise) {
  step(7);
  longwave_state* fork = nullptr;
  ASSERT_EQ(longwave_state_of(session_, &fork), LONGWAVE_OK);
  const std::vector<float> once = step(9);
  ASSERT_EQ(longwave_session_restore(session_, fork), LONGWAVE_OK);
  EXPECT_EQ(step(9), once);
  const std::string file = folder_ / "here.state";
  ASSERT_EQ(longwave_state_save(fork, file.c_str()), LONGWAVE_OK);
  longwave_state* loaded = nullptr;
  ASSERT_EQ(longwave_state_load(file.c_str(), &loaded), LONGWAVE_OK);
  EXPECT_EQ(longwave_state_position(loaded), 1);
  longwave_session* other = nullptr;
  ASSERT_EQ(longwave_session_create(model_, &other), LONGWAVE_OK);
  ASSERT_EQ(longwave_session_restore(other, loaded), LONGWAVE_OK);
  std::swap(other, session_);
  EXPECT_EQ(step(9), once);
  ASSERT_EQ(longwave_session_reset(session_), LONGWAVE_OK);
  EXPECT_EQ(longwave_session_position(session_), 0);
  longwave_session_free(other);
  longwave_state_free(fork);
  longwave_state_free(loaded);
}

TEST_F(CInterface, TextGoesThroughBuffersOfTheCaller) {
  const std::string text = "na\xc3\xafve";
  size_t count = 99;
  EXPECT_EQ(longwave_encode(model_, text.data(), text.size(), nullptr, 0, &count),
            LONGWAVE_TOO_SMALL);
  ASSERT_EQ(count, text.size());
  std::vector<int64_t> ids(count);
  ASSERT_EQ(longwave_encode(model_, text.data(), text.size(), ids.data(), count, &count),
            LONGWAVE_OK);
  std::string back(count, '?');
  size_t bytes = 0;
  ASSERT_EQ(longwave_decode(model_, ids.data(), count, back.data(), back.size(), &bytes),
            LONGWAVE_OK);
  EXPECT_EQ(back, text);
  EXPECT_EQ(longwave_encode(model_, nullptr, 0, nullptr, 0, &count), LONGWAVE_OK);
  EXPECT_EQ(count, 0u);
}

TEST_F(CInterface, PromptsBeginAsTheModelExpects) {
  text::SentencePieceFile pieces;
  pieces.pieces = {{"<unk>", 0, text::PieceModel::Type::kUnknown},
                   {"<s>", 0, text::PieceModel::Type::kControl},
                   {text::kBlankMark, -1, text::PieceModel::Type::kNormal},
                   {"a", -1, text::PieceModel::Type::kNormal}};
  text::TokenSettings settings;
  settings.add_begin = true;
  settings.begin = "<s>";
  runtime::write_tokenizer(
      folder_, Tokenizer::parse_pieces(text::format_sentencepiece(pieces), "test", settings));
  std::filesystem::remove(folder_ / "tokenizer.json");
  longwave_model* model = nullptr;
  ASSERT_EQ(longwave_model_load(folder_.c_str(), &model), LONGWAVE_OK) << longwave_last_error();
  std::vector<int64_t> ids(9);
  size_t count = 0;
  ASSERT_EQ(longwave_encode(model, "a", 1, ids.data(), ids.size(), &count), LONGWAVE_OK);
  EXPECT_EQ(std::vector<int64_t>(ids.begin(), ids.begin() + static_cast<int64_t>(count)),
            (std::vector<int64_t>{2, 3}));
  ASSERT_EQ(longwave_encode_prompt(model, "a", 1, ids.data(), ids.size(), &count), LONGWAVE_OK);
  EXPECT_EQ(std::vector<int64_t>(ids.begin(), ids.begin() + static_cast<int64_t>(count)),
            load_tokenizer(folder_)->encode_prompt("a"));
  EXPECT_EQ(ids.front(), 1);
  longwave_model_free(model);
}

TEST_F(CInterface, StatesAreKeptInFewerBits) {
  longwave_session* kept = nullptr;
  longwave_state* state = nullptr;
  ASSERT_EQ(longwave_session_create_keeping(model_, LONGWAVE_STATE_INT8, &kept), LONGWAVE_OK);
  EXPECT_LT(longwave_session_state_bytes(kept), longwave_session_state_bytes(session_) / 3);
  Session expected(Model::load(folder_), StateForm::kInt8);
  const float* answer = nullptr;
  for (const int64_t id : {3, 1, 4}) {
    ASSERT_EQ(longwave_step_token(kept, id, &answer), LONGWAVE_OK);
    const auto theirs = expected.step(id);
    EXPECT_EQ(std::memcmp(answer, theirs.data(), theirs.size_bytes()), 0);
  }
  const std::string file = folder_ / "kept.state";
  ASSERT_EQ(longwave_state_of(kept, &state), LONGWAVE_OK);
  ASSERT_EQ(longwave_state_save(state, file.c_str()), LONGWAVE_OK);
  EXPECT_EQ(load_state(file), expected.state());
  longwave_session* none = nullptr;
  const auto unknown = static_cast<longwave_state_form>(3);
  EXPECT_EQ(longwave_session_create_keeping(model_, unknown, &none), LONGWAVE_INVALID_ARGUMENT);
  longwave_state_free(state);
  longwave_session_free(kept);
}

TEST_F(CInterface, GenerateStreamsAndIsTheLibrarysGenerate) {
  longwave_sampling sampling;
  longwave_sampling_init(&sampling);
  EXPECT_EQ(sampling.struct_size, sizeof(sampling));
  sampling.seed = 3;
  struct Heard {
    std::vector<int64_t> ids;
    std::string text;
  } heard;
  const auto hear = [](void* user, int64_t id, const char* text, size_t bytes) {
    auto* into = static_cast<Heard*>(user);
    if (id >= 0) into->ids.push_back(id);
    into->text.append(text, bytes);
    return static_cast<int>(into->ids.size() < 12);
  };
  const int64_t prompt = 72;
  int64_t drawn = 0;
  ASSERT_EQ(longwave_generate(session_, &prompt, 1, &sampling, 40, hear, &heard, &drawn),
            LONGWAVE_OK)
      << longwave_last_error();
  EXPECT_EQ(drawn, 12);
  Session session(Model::load(folder_));
  const Tokenizer bytes = Tokenizer::bytes();
  std::string text;
  const Generation generation =
      generate(session, &bytes, {&prompt, 1}, {.sampler = {.seed = 3}, .max_tokens = 12},
               [&text](int64_t, std::string_view part) {
                 text += part;
                 return true;
               });
  EXPECT_EQ(heard.ids, generation.ids);
  EXPECT_EQ(heard.text, text);
}

TEST_F(CInterface, SaysWhatIsWrongAndChangesNothing) {
  step(1);
  const float* answer = nullptr;
  EXPECT_EQ(longwave_step_token(session_, 256, &answer), LONGWAVE_INVALID_ARGUMENT);
  EXPECT_NE(std::strlen(longwave_last_error()), 0u);
  EXPECT_EQ(longwave_step_token(nullptr, 1, &answer), LONGWAVE_INVALID_ARGUMENT);
  EXPECT_NE(std::string(longwave_last_error()).find("NULL"), std::string::npos);
  const float sample = 0;
  EXPECT_EQ(longwave_step(session_, &sample, 1, &answer), LONGWAVE_INVALID_ARGUMENT);
  EXPECT_EQ(answer, nullptr);
  EXPECT_EQ(longwave_session_position(session_), 1);
  longwave_model* none = nullptr;
  EXPECT_EQ(longwave_model_load((folder_ / "none").c_str(), &none), LONGWAVE_IO_ERROR);
  EXPECT_EQ(none, nullptr);
  longwave_state* state = nullptr;
  EXPECT_EQ(longwave_state_load((folder_ / "config.json").c_str(), &state), LONGWAVE_BAD_DATA);
  longwave_sampling sampling;
  longwave_sampling_init(&sampling);
  sampling.struct_size = 1000;
  longwave_sampler* sampler = nullptr;
  EXPECT_EQ(longwave_sampler_create(&sampling, &sampler), LONGWAVE_INVALID_ARGUMENT);
  longwave_sampling_init(&sampling);
  sampling.top_p = 0;
  EXPECT_EQ(longwave_sampler_create(&sampling, &sampler), LONGWAVE_INVALID_ARGUMENT);
  EXPECT_EQ(sampler, nullptr);
  longwave_model_free(nullptr);
  longwave_session_free(nullptr);
  longwave_state_free(nullptr);
  longwave_sampler_free(nullptr);
}

TEST_F(CInterface, OlderCallersHaveSmallerStructures) {
  longwave_sampling sampling;
  std::memset(&sampling, 0xff, sizeof(sampling));
  const size_t older = offsetof(longwave_sampling, top_p);
  longwave_sampling_init_sized(&sampling, older);
  EXPECT_EQ(sampling.struct_size, older);
  longwave_sampler* sampler = nullptr;
  EXPECT_EQ(longwave_sampler_create(&sampling, &sampler), LONGWAVE_OK) << longwave_last_error();
  longwave_sampler_free(sampler);
}

TEST_F(CInterface, ThreadsShareAModelAndHaveTheirOwnErrors) {
  const float* answer = nullptr;
  EXPECT_NE(longwave_step_token(session_, -1, &answer), LONGWAVE_OK);
  const std::string mine = longwave_last_error();
  std::vector<std::vector<float>> answers(4);
  std::vector<std::thread> threads;
  for (std::vector<float>& result : answers) {
    threads.emplace_back([this, &result] {
      EXPECT_STREQ(longwave_last_error(), "");
      longwave_session* session = nullptr;
      EXPECT_EQ(longwave_session_create(model_, &session), LONGWAVE_OK);
      const float* last = nullptr;
      for (int64_t id = 0; id < 20; ++id) longwave_step_token(session, id, &last);
      result.assign(last, last + 256);
      longwave_session_free(session);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& result : answers) EXPECT_EQ(result, answers[0]);
  EXPECT_EQ(longwave_last_error(), mine);
}

}  // namespace
}  // namespace longwave::testing
