// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/gguf_vocabulary.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/text/bpe_train.h"

namespace longwave::text {
namespace {

using longwave::testing::message_of;

const std::string kText =
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, "
    "must be in want of a wife. Größe 😀 12345  it's\n\n they'll";

Tokenizer learnt() {
  const std::vector<std::string_view> texts = {kText, kText};
  return train_bpe(texts, {.vocabulary = 300, .special = {"<|endoftext|>", "<|pad|>"}});
}

io::GgufMetadata metadata_of(const Tokenizer& tokenizer, int64_t vocabulary) {
  io::GgufMetadata metadata;
  add_vocabulary(tokenizer, vocabulary, metadata);
  return metadata;
}

TEST(GgufVocabulary, BothFormsGiveTheTokenizerBack) {
  const Tokenizer tokenizer = learnt();
  io::GgufMetadata metadata = metadata_of(tokenizer, tokenizer.size() + 5);
  const std::string text = kText + "<|endoftext|>x<|pad|>";
  const auto ids = tokenizer.encode(text);
  const auto exact = tokenizer_of_gguf(metadata, "f.gguf");
  ASSERT_TRUE(exact.has_value());
  EXPECT_EQ(exact->json(), tokenizer.json());
  metadata.erase("tokenizer.huggingface.json");
  const auto rebuilt = tokenizer_of_gguf(metadata, "f.gguf");
  ASSERT_TRUE(rebuilt.has_value());
  EXPECT_EQ(rebuilt->encode(text), ids);
  EXPECT_EQ(rebuilt->decode(ids), tokenizer.decode(ids));
  EXPECT_EQ(rebuilt->size(), tokenizer.size());
  EXPECT_EQ(rebuilt->added("<|pad|>"), tokenizer.added("<|pad|>"));
  EXPECT_TRUE(rebuilt->is_special(*rebuilt->added("<|endoftext|>")));
}

TEST(GgufVocabulary, KeysAreThoseOfLlamaCpp) {
  const Tokenizer tokenizer = learnt();
  const io::GgufMetadata metadata = metadata_of(tokenizer, tokenizer.size() + 1);
  EXPECT_EQ(*io::gguf_text(metadata, "tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(*io::gguf_text(metadata, "tokenizer.ggml.pre"), "gpt-2");
  const auto& tokens = *io::gguf_items<std::string>(metadata, "tokenizer.ggml.tokens");
  const auto& types = *io::gguf_items<int64_t>(metadata, "tokenizer.ggml.token_type");
  ASSERT_EQ(tokens.size(), static_cast<size_t>(tokenizer.size()) + 1);
  EXPECT_EQ(tokens[' '], "Ġ");
  EXPECT_EQ(types['a'], 1);
  EXPECT_EQ(tokens.back(), "[PAD" + std::to_string(tokenizer.size()) + "]");
  EXPECT_EQ(types.back(), 5);
  const auto end = static_cast<size_t>(*tokenizer.added("<|endoftext|>"));
  EXPECT_EQ(types[end], 3);
  EXPECT_EQ(metadata.at("tokenizer.ggml.eos_token_id"),
            io::GgufValue::uint32(static_cast<uint32_t>(end)));
}

TEST(GgufVocabulary, AFileWithoutOneHasNone) {
  EXPECT_FALSE(tokenizer_of_gguf({}, "f").has_value());
  EXPECT_FALSE(tokenizer_of_gguf({{"tokenizer.ggml.model", io::GgufValue::text("no_vocab")}}, "f"));
}

TEST(GgufVocabulary, WhatIsWrongIsRefused) {
  const Tokenizer tokenizer = learnt();
  const io::GgufMetadata good = [&] {
    io::GgufMetadata metadata = metadata_of(tokenizer, tokenizer.size());
    metadata.erase("tokenizer.huggingface.json");
    return metadata;
  }();
  const auto refused = [&](const std::string& key, io::GgufValue value, const std::string& part) {
    io::GgufMetadata metadata = good;
    metadata["tokenizer.ggml." + key] = std::move(value);
    const std::string message =
        message_of<DataError>([&] { tokenizer_of_gguf(metadata, "f.gguf"); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  using io::GgufValue;
  refused("model", GgufValue::text("rwkv"), "rwkv");
  refused("pre", GgufValue::text("klingon"), "klingon");
  refused("tokens", GgufValue::text("a"), "list of texts");
  refused("tokens", GgufValue::texts({}), "list of texts");
  refused("tokens", GgufValue::texts({"a", "b"}), "as long as");
  refused("token_type", GgufValue::int32s({1, 1}), "as long as");
  refused("merges", GgufValue::texts({"ab"}), "two tokens");
  refused("merges", GgufValue::texts({""}), "two tokens");
  refused("merges", GgufValue::texts({"a nothing"}), "nothing");
  EXPECT_THROW(metadata_of(tokenizer, tokenizer.size() - 1), InvalidArgument);
}

}  // namespace
}  // namespace longwave::text
