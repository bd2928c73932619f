// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/chat.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "longwave/base/error.h"
#include "longwave/text/utf8.h"

namespace longwave::runtime {
namespace {

constexpr const char* kModel = LONGWAVE_SOURCE_DIR "/tests/fixtures/chat_mamba";
const TokenSink kIgnore = [](int64_t, std::string_view) { return true; };

/// A folder of the test's own that disappears with it.
struct ScratchFolder {
  explicit ScratchFolder(const char* name)
      : path(std::filesystem::path(::testing::TempDir()) / name) {
    std::filesystem::create_directories(path);
  }
  ~ScratchFolder() { std::filesystem::remove_all(path); }
  std::filesystem::path operator/(const char* name) const { return path / name; }
  std::filesystem::path path;
};

GenerateOptions greedy(int64_t tokens = 24) {
  return {.sampler = {.temperature = 0}, .max_tokens = tokens};
}

Chat new_chat(std::string system = {}) { return Chat(ChatModel::load(kModel), std::move(system)); }

ChatModel plain_model() {
  ChatModel model = ChatModel::load(kModel);
  model.chat_template.reset();
  return model;
}

bool same_bits(const State& left, const State& right) {
  return left.fingerprint == right.fingerprint && left.position == right.position &&
         left.values.size() == right.values.size() &&
         std::memcmp(left.values.data(), right.values.data(), left.values.size() * sizeof(float)) ==
             0;
}

TEST(Chat, AnswersWhatTheWholeConversationAsks) {
  Chat chat = new_chat("Be brief.");
  for (const char* question : {"Hello", "And then?", "caf\xc3\xa9"}) {
    std::vector<text::Message> messages = chat.messages();
    messages.push_back({"user", question});
    const ChatModel model = ChatModel::load(kModel);
    Session fresh(model.model);
    const std::string whole = model.chat_template->render(messages);
    const Generation expected =
        generate(fresh, nullptr, model.tokenizer->encode(whole), greedy(1), kIgnore);
    const Generation answer = chat.say(question, greedy(), kIgnore);
    EXPECT_EQ(answer.ids.front(), expected.ids.front()) << question;
  }
  EXPECT_EQ(chat.turns(), 3);
  EXPECT_EQ(chat.messages().size(), 7u);
  EXPECT_EQ(chat.messages()[0].role, "system");
}

TEST(Chat, RewindIsBitwise) {
  Chat chat = new_chat();
  chat.say("one", greedy(), kIgnore);
  const State after_one = chat.session().state();
  const std::vector<text::Message> messages = chat.messages();
  const Generation two = chat.say("two", greedy(), kIgnore);
  const State after_two = chat.session().state();
  chat.say("three", greedy(), kIgnore);
  chat.rewind(2);
  EXPECT_TRUE(same_bits(chat.session().state(), after_one));
  EXPECT_EQ(chat.messages(), messages);
  EXPECT_EQ(chat.say("two", greedy(), kIgnore).ids, two.ids);
  EXPECT_TRUE(same_bits(chat.session().state(), after_two));
  EXPECT_THROW(chat.rewind(3), InvalidArgument);
  chat.reset();
  EXPECT_EQ(chat.turns(), 0);
  EXPECT_EQ(chat.session().state().position, 0);
}

TEST(Chat, ForksAreBitwiseAndIndependent) {
  Chat chat = new_chat();
  chat.say("one", greedy(), kIgnore);
  Chat fork = chat.fork();
  EXPECT_TRUE(same_bits(fork.session().state(), chat.session().state()));
  chat.say("left", greedy(), kIgnore);
  const State left = chat.session().state();
  fork.say("right", greedy(), kIgnore);
  EXPECT_FALSE(same_bits(fork.session().state(), left));
  fork.rewind(1);
  fork.say("left", greedy(), kIgnore);
  EXPECT_TRUE(same_bits(fork.session().state(), left));
  EXPECT_TRUE(same_bits(chat.session().state(), left));
}

TEST(Chat, GoesOnFromAFileBitwise) {
  const ScratchFolder scratch("chat_file");
  const auto file = scratch / "talk.state";
  Chat chat = new_chat("Be brief.");
  chat.say("one", greedy(), kIgnore);
  chat.say("two \xff", greedy(5), kIgnore);
  chat.save(file);
  const Generation three = chat.say("three", greedy(), kIgnore);
  Chat other = new_chat();
  other.load(file);
  EXPECT_EQ(other.turns(), 2);
  EXPECT_EQ(other.messages()[0].content, "Be brief.");
  EXPECT_EQ(other.say("three", greedy(), kIgnore).ids, three.ids);
  EXPECT_TRUE(same_bits(other.session().state(), chat.session().state()));
  // States of turns before the file are not in it: the text is read again.
  other.rewind(2);
  EXPECT_EQ(other.turns(), 1);
  chat.rewind(2);
  EXPECT_EQ(other.session().state().position, chat.session().state().position);
  EXPECT_EQ(other.messages(), chat.messages());
}

TEST(Chat, RefusesFilesOfOthersAndKeepsTheConversation) {
  const ScratchFolder scratch("chat_refused");
  const auto file = scratch / "talk.state";
  Chat chat = new_chat();
  chat.say("one", greedy(), kIgnore);
  chat.save(file);
  ChatModel slower = ChatModel::load(kModel);
  slower.model = Model::load(kModel, 2.0);
  Chat other(slower);
  other.say("mine", greedy(), kIgnore);
  const State before = other.session().state();
  EXPECT_THROW(other.load(file), InvalidArgument) << "another model";
  EXPECT_THROW(other.load(scratch / "none"), IoError);
  chat.say("two", greedy(), kIgnore);
  save_state(file, chat.session().state());
  EXPECT_THROW(chat.load(file), DataError) << "a state of another moment";
  std::ofstream(file.string() + ".json") << "{\"format\": 3";
  EXPECT_THROW(other.load(file), DataError);
  EXPECT_TRUE(same_bits(other.session().state(), before));
  EXPECT_EQ(other.messages()[0].content, "mine");
}

TEST(Chat, RefusedQuestionsChangeNothing) {
  ChatModel model = ChatModel::load(kModel);
  model.chat_template = text::ChatTemplate::parse(
      "{% for m in messages %}{{ m.content }};{% if m.content == 'no' %}"
      "{{ raise_exception('not this') }}{% endif %}{% endfor %}",
      "test");
  Chat chat(model);
  chat.say("yes", greedy(), kIgnore);
  const State before = chat.session().state();
  EXPECT_THROW(chat.say("no", greedy(), kIgnore), DataError);
  EXPECT_TRUE(same_bits(chat.session().state(), before));
  EXPECT_EQ(chat.turns(), 1);
}

TEST(Chat, TemplatesMayShowEarlierAnswersInAnotherWay) {
  ChatModel model = ChatModel::load(kModel);
  model.chat_template = text::ChatTemplate::parse(
      "{% for m in messages %}{% if m.role == 'user' %}Q{{ m.content }}{% else %}hidden{% endif %}"
      "{% endfor %}A<think>",
      "test");
  Chat chat(model);
  chat.say("one", greedy(3), kIgnore);
  chat.say("two", greedy(0), kIgnore);
  EXPECT_EQ(chat.session().state().position,
            static_cast<int64_t>(model.tokenizer->encode("QonehiddenQtwoA<think>").size()));
}

TEST(Chat, PlainModelsGoOnWithTheText) {
  Chat chat(plain_model());
  const Generation first = chat.say("It was", greedy(6), kIgnore);
  chat.say(" and", greedy(0), kIgnore);
  std::vector<int64_t> all = plain_model().tokenizer->encode("It was");
  all.insert(all.end(), first.ids.begin(), first.ids.end());
  EXPECT_EQ(chat.session().state().position,
            static_cast<int64_t>(all.size()) + 1 +
                static_cast<int64_t>(plain_model().tokenizer->encode(" and").size()) - 1);
}

TEST(Chat, AStoppedAnswerIsPartOfTheConversation) {
  Chat chat = new_chat();
  int64_t seen = 0;
  std::string text;
  const Generation answer = chat.say("one", greedy(), [&](int64_t, std::string_view part) {
    text += part;
    return ++seen < 3;
  });
  EXPECT_EQ(answer.end, Generation::End::kAsked);
  EXPECT_EQ(text::showable(chat.messages().back().content), text);
  chat.say("two", greedy(), kIgnore);
  EXPECT_EQ(chat.turns(), 2);
}

}  // namespace
}  // namespace longwave::runtime
