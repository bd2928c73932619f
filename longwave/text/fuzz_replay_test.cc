// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "longwave/text/testing/fuzz_targets.h"

namespace longwave::testing {
namespace {

TEST(FuzzReplay, TokenizerSurvivesMutation) { replay(tokenizer_seeds(), 10000, fuzz_tokenizer); }

TEST(FuzzReplay, SentencePieceSurvivesMutation) {
  replay(sentencepiece_seeds(), 3000, fuzz_sentencepiece);
}

TEST(FuzzReplay, ChatTemplateSurvivesMutation) {
  replay(chat_template_seeds(), 5000, fuzz_chat_template);
}

TEST(FuzzReplay, TokenizerSeedsAreSound) {
  for (const Bytes& seed : tokenizer_seeds()) {
    const std::string json(reinterpret_cast<const char*>(seed.data()), seed.size());
    EXPECT_NO_THROW(static_cast<void>(text::Tokenizer::parse(json, "seed")));
  }
}

TEST(FuzzReplay, SentencePieceSeedsAreSound) {
  for (const Bytes& seed : sentencepiece_seeds()) {
    const std::string file(reinterpret_cast<const char*>(seed.data()), seed.size());
    EXPECT_NO_THROW(try_out(text::Tokenizer::parse_pieces(file, "seed")));
  }
}

TEST(FuzzReplay, ChatTemplateSeedsAreSound) {
  for (const Bytes& seed : chat_template_seeds()) {
    const std::string source(reinterpret_cast<const char*>(seed.data()), seed.size());
    const std::vector<text::Message> messages = {{"user", "hello"}};
    EXPECT_NO_THROW(static_cast<void>(text::ChatTemplate::parse(source, "seed").render(messages)));
  }
}

}  // namespace
}  // namespace longwave::testing
