// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "longwave/base/error.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/models/testing/model_case.h"
#include "longwave/runtime/chat.h"

namespace longwave::runtime {
namespace {

using longwave::testing::message_of;
using longwave::testing::TemporaryFolder;

constexpr const char* kModel = LONGWAVE_SOURCE_DIR "/tests/fixtures/chat_mamba";
constexpr int64_t kContext = 60;
const TokenSink kIgnore = [](int64_t, std::string_view) { return true; };

GenerateOptions greedy(int64_t tokens = 24) {
  return {.sampler = {.temperature = 0}, .max_tokens = tokens};
}

/// A model of random weights with the tokens of the one that talks.
std::shared_ptr<const Model> random_model(const ChatModel& like, std::vector<std::string> settings,
                                          uint64_t seed) {
  const auto tokens = static_cast<int64_t>(like.model->output_size());
  const models::testing::ModelCase one = {
      "one",
      std::move(settings),
      {models::Interface::Input::kTokens, tokens, models::Interface::Output::kStep, tokens}};
  return std::make_shared<const Model>(one.config(), one.weights(seed));
}

/// A hybrid that knows so many positions and no more, and goes on with plain text.
ChatModel hybrid() {
  ChatModel model = ChatModel::load(kModel);
  model.chat_template.reset();
  const std::string positions = std::to_string(kContext);
  model.model = random_model(model,
                             {"model.pattern=mamba attention", "attention.positions=" + positions,
                              "attention.window=" + positions},
                             3);
  return model;
}

TEST(ChatDraft, AnswersAreThoseOfTheModelAloneThroughEveryTurn) {
  const TemporaryFolder folder;
  for (const bool itself : {true, false}) {
    ChatModel with = ChatModel::load(kModel);
    with.draft = itself ? with.model : random_model(with, {"model.pattern=mamba"}, 5);
    Chat alone(ChatModel::load(kModel)), drafted(with);
    const auto both_say = [&](const std::string& text, int64_t tokens) {
      const Generation expected = alone.say(text, greedy(tokens), kIgnore);
      const Generation got = drafted.say(text, greedy(tokens), kIgnore);
      EXPECT_EQ(got.ids, expected.ids) << text;
      EXPECT_EQ(drafted.session().state(), alone.session().state()) << text;
      EXPECT_EQ(got.draft.passes > 0, got.ids.size() > 1) << text;
      EXPECT_TRUE(!itself || got.draft.accepted == got.draft.proposed) << text;
    };
    both_say("one", 20);
    both_say("two", 0);
    both_say("three", 1);
    both_say("four", 9);
    alone.rewind(2);
    drafted.rewind(2);
    both_say("five", 9);
    drafted.save(folder / "talk");
    drafted.load(folder / "talk");
    both_say("six", 9);
    drafted = drafted.fork();
    both_say("seven", 9);
  }
}

TEST(ChatDraft, NeedsStatesOfFloat32) {
  ChatModel model = ChatModel::load(kModel);
  model.draft = model.model;
  model.form = StateForm::kInt8;
  Chat chat(model);
  EXPECT_THROW(chat.say("one", greedy(), kIgnore), InvalidArgument);
  EXPECT_EQ(chat.turns(), 0);
}

TEST(ChatStateForm, WaysBackAreBitwise) {
  for (const StateForm form : {StateForm::kBFloat16, StateForm::kInt8}) {
    ChatModel model = ChatModel::load(kModel);
    model.form = form;
    Chat chat(model);
    chat.say("one", greedy(), kIgnore);
    const State after_one = chat.session().state();
    const Generation two = chat.say("two", greedy(), kIgnore);
    chat.rewind(1);
    EXPECT_EQ(chat.session().state(), after_one);
    EXPECT_EQ(chat.fork().say("two", greedy(), kIgnore).ids, two.ids);
    const TemporaryFolder folder;
    chat.save(folder / "talk");
    Chat other(model);
    other.load(folder / "talk");
    EXPECT_EQ(other.session().state(), after_one);
    EXPECT_EQ(other.say("two", greedy(), kIgnore).ids, two.ids);
  }
}

TEST(ChatContext, AFullContextEndsTheAnswerAndKeepsTheConversation) {
  for (const bool drafted : {false, true}) {
    ChatModel model = hybrid();
    if (drafted) model.draft = model.model;
    Chat chat(model);
    const Generation first = chat.say("It was", greedy(8), kIgnore);
    ASSERT_EQ(first.end, Generation::End::kLength);
    const State before = chat.session().state();
    const Generation full = chat.say(" and", greedy(1000), kIgnore);
    EXPECT_EQ(full.end, Generation::End::kContext);
    EXPECT_EQ(chat.session().steps_left(), 0);
    EXPECT_EQ(chat.session().state().position, kContext);
    EXPECT_EQ(chat.messages().back().content,
              model.tokenizer->decode(full.ids, text::Place::kMiddle));
    EXPECT_EQ(chat.turns(), 2);
    const std::string refused =
        message_of<InvalidArgument>([&] { chat.say("more", greedy(), kIgnore); });
    EXPECT_NE(refused.find("--context"), std::string::npos) << refused;
    EXPECT_NE(refused.find("/rewind"), std::string::npos) << refused;
    EXPECT_EQ(chat.turns(), 2);
    const TemporaryFolder folder;
    chat.save(folder / "talk");
    Chat other(model);
    other.load(folder / "talk");
    EXPECT_EQ(other.session().state(), chat.session().state());
    chat.rewind(1);
    EXPECT_EQ(chat.session().state(), before);
    EXPECT_EQ(chat.say(" and", greedy(1000), kIgnore).ids, full.ids);
    chat.reset();
    EXPECT_EQ(chat.say("It was", greedy(8), kIgnore).ids, first.ids);
  }
}

TEST(ChatContext, DraftsNeverChangeWhereTheContextEnds) {
  const ChatModel model = hybrid();
  const std::vector<int64_t> prompt = {1, 2, 3};
  Session alone(model.model);
  const Generation expected = generate(alone, nullptr, prompt, greedy(1000), kIgnore);
  EXPECT_EQ(expected.end, Generation::End::kContext);
  EXPECT_EQ(std::ssize(expected.ids), kContext - 3 + 1);
  for (const int64_t tokens : {1, 4, 31}) {
    Session session(model.model), draft(model.model);
    GenerateOptions options = greedy(1000);
    options.draft = &draft;
    options.draft_tokens = tokens;
    const Generation got = generate(session, nullptr, prompt, options, kIgnore);
    EXPECT_EQ(got.end, Generation::End::kContext);
    EXPECT_EQ(got.ids, expected.ids);
  }
}

}  // namespace
}  // namespace longwave::runtime
