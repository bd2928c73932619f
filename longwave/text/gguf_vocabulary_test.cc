// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/gguf_vocabulary.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/text/bpe_train.h"
#include "longwave/text/spelling.h"

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
  EXPECT_EQ(exact->files().front().content, tokenizer.files().front().content);
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

/// A vocabulary of Llama's kind, as llama.cpp writes it.
io::GgufMetadata llama_metadata() {
  std::vector<std::string> tokens = {"<unk>",
                                     "<s>",
                                     "</s>",
                                     "\xe2\x96\x81",
                                     "a",
                                     "b",
                                     "ab",
                                     "\xe2\x96\x81"
                                     "a",
                                     "<|im_end|>"};
  std::vector<int64_t> types = {2, 3, 3, 1, 1, 1, 1, 1, 4};
  std::vector<double> scores = {0, 0, 0, -5, -4, -4, -1, -2, 0};
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(byte_name(static_cast<uint8_t>(byte)));
    types.push_back(6);
    scores.push_back(0);
  }
  using io::GgufValue;
  return {{"tokenizer.ggml.model", GgufValue::text("llama")},
          {"tokenizer.ggml.tokens", GgufValue::texts(tokens)},
          {"tokenizer.ggml.token_type", GgufValue::int32s(types)},
          {"tokenizer.ggml.scores",
           {io::GgufKind::kArray, io::GgufArray{io::GgufKind::kFloat32, scores}}},
          {"tokenizer.ggml.bos_token_id", GgufValue::uint32(1)},
          {"tokenizer.ggml.eos_token_id", GgufValue::uint32(2)},
          {"tokenizer.ggml.eot_token_id", GgufValue::uint32(8)}};
}

TEST(GgufVocabulary, PiecesOfLlamaAreMergedByTheirScores) {
  using Ids = std::vector<int64_t>;
  io::GgufMetadata metadata = llama_metadata();
  const auto tokenizer = tokenizer_of_gguf(metadata, "f.gguf");
  ASSERT_TRUE(tokenizer.has_value());
  EXPECT_EQ(tokenizer->encode("ab a"), (Ids{3, 6, 7}));
  EXPECT_EQ(tokenizer->encode("z"), (Ids{3, 9 + 'z'}));
  EXPECT_EQ(tokenizer->encode("<s>a"), (Ids{1, 7})) << "templates print such tokens";
  EXPECT_EQ(tokenizer->encode_prompt("a"), (Ids{1, 7}));
  EXPECT_EQ(tokenizer->encode_whole("a"), (Ids{1, 7}));
  EXPECT_EQ(tokenizer->decode(Ids{1, 3, 6, 7, 2}), "ab a");
  EXPECT_TRUE(tokenizer->is_end(2));
  EXPECT_TRUE(tokenizer->is_end(8)) << "the end of a turn";
  EXPECT_FALSE(tokenizer->is_special(8));
  EXPECT_FALSE(tokenizer->is_end(7));
  metadata.insert_or_assign("tokenizer.ggml.add_bos_token", io::GgufValue::flag(false));
  metadata.insert_or_assign("tokenizer.ggml.add_eos_token", io::GgufValue::flag(true));
  metadata.insert_or_assign("tokenizer.ggml.add_space_prefix", io::GgufValue::flag(false));
  EXPECT_EQ(tokenizer_of_gguf(metadata, "f.gguf")->encode_whole("a"), (Ids{4, 2}));
}

TEST(GgufVocabulary, PiecesThatMakeNoSenseAreRefused) {
  const auto refused = [](const std::string& key, io::GgufValue value, const std::string& part) {
    io::GgufMetadata metadata = llama_metadata();
    metadata["tokenizer.ggml." + key] = std::move(value);
    const std::string message =
        message_of<DataError>([&] { tokenizer_of_gguf(metadata, "f.gguf"); });
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  using io::GgufValue;
  refused("scores", GgufValue::text("a"), "as long as");
  refused("token_type", GgufValue::int32s(std::vector<int64_t>(265, 9)), "unknown type");
  refused("token_type", GgufValue::int32s(std::vector<int64_t>(265, 6)), "names none");
  refused("tokens", GgufValue::texts(std::vector<std::string>(265, "a")), "alike");
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
