// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "longwave/io/file.h"
#include "longwave/text/gguf_vocabulary.h"
#include "longwave/text/stream_decoder.h"
#include "longwave/text/tokenizer.h"
#include "longwave/text/utf8.h"

/// Small tokenizers of every style, and what the reference makes of texts (tests/fixtures,
/// make_tokenizers.py).
namespace longwave::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Ids = std::vector<int64_t>;

struct Reference {
  std::string name;
  Tokenizer tokenizer;
  Json cases;
  Ids begin;
};

std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::vector<Reference> references() {
  std::vector<Reference> result;
  for (const auto& entry :
       fs::directory_iterator(LONGWAVE_SOURCE_DIR "/tests/fixtures/tokenizers")) {
    const Json file = Json::parse(io::read_text(entry.path(), 1 << 20));
    const std::string where = entry.path().string();
    result.push_back({entry.path().stem().string(),
                      file.contains("model")
                          ? Tokenizer::parse_pieces(from_hex(file.at("model")), where)
                          : Tokenizer::parse(file.at("tokenizer").dump(), where),
                      file.at("cases"), file.at("begin")});
  }
  return result;
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

bool whole_characters_only(std::string_view text) {
  while (!text.empty()) {
    const size_t length = character_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

TEST(TokenizerReference, TokensAndTextAreTheReferences) {
  for (const Reference& reference : references()) {
    for (const Json& each : reference.cases) {
      const std::string text = each.at("text");
      const Ids ids = each.at("ids");
      EXPECT_EQ(reference.tokenizer.encode(text), ids) << reference.name << ": " << text;
      EXPECT_EQ(reference.tokenizer.decode(ids), each.at("decoded").get<std::string>())
          << reference.name << ": " << text;
      Ids whole = reference.begin;
      whole.insert(whole.end(), ids.begin(), ids.end());
      EXPECT_EQ(reference.tokenizer.encode_whole(text), whole) << reference.name;
    }
  }
}

TEST(TokenizerReference, StreamedTextIsWholeCharactersAndTheSame) {
  for (const Reference& reference : references()) {
    for (const Json& each : reference.cases) {
      StreamDecoder decoder(reference.tokenizer);
      std::string shown;
      for (const int64_t id : each.at("ids").get<Ids>()) {
        const std::string part = decoder.push(id);
        EXPECT_TRUE(whole_characters_only(part)) << reference.name;
        shown += part;
      }
      EXPECT_EQ(shown + decoder.finish(), each.at("decoded").get<std::string>())
          << reference.name << ": " << each.at("text");
    }
  }
}

/// A vocabulary inside a GGUF file gives the same tokens; that of merged characters needs its
/// tokenizer.json, which llama.cpp passes over.
TEST(TokenizerReference, GgufFilesHoldTheSame) {
  for (const Reference& reference : references()) {
    io::GgufMetadata metadata;
    add_vocabulary(reference.tokenizer, reference.tokenizer.size() + 3, metadata);
    const auto again = tokenizer_of_gguf(metadata, "f.gguf");
    ASSERT_TRUE(again.has_value());
    for (const Json& each : reference.cases) {
      const Ids ids = each.at("ids");
      EXPECT_EQ(again->encode(each.at("text").get<std::string>()), ids) << reference.name;
      EXPECT_EQ(again->decode(ids), each.at("decoded").get<std::string>()) << reference.name;
    }
    EXPECT_EQ(again->encode_whole("a"), reference.tokenizer.encode_whole("a")) << reference.name;
  }
}

/// Also without the tokenizer.json, as llama.cpp and its relatives write them.
TEST(TokenizerReference, GgufFilesOfOthersHoldTheSame) {
  for (const Reference& reference : references()) {
    io::GgufMetadata metadata;
    add_vocabulary(reference.tokenizer, reference.tokenizer.size(), metadata);
    metadata.erase("tokenizer.huggingface.json");
    const bool bytes = *io::gguf_text(metadata, "tokenizer.ggml.model") == "gpt2";
    // A prefix of the cut, the normal form, and cuts without a name are not told.
    if (bytes ? is_one_of(reference.name, {"gpt2", "neox", "bert"})
              : !reference.name.starts_with("pieces"))
      continue;
    const auto again = tokenizer_of_gguf(metadata, "f.gguf");
    ASSERT_TRUE(again.has_value());
    for (const Json& each : reference.cases) {
      EXPECT_EQ(again->encode(each.at("text").get<std::string>()), each.at("ids").get<Ids>())
          << reference.name << ": " << each.at("text");
    }
  }
}

/// What goes on with a text has no blank of its own before it.
TEST(TokenizerReference, TheMiddleOfATextHasNoBlankBefore) {
  for (const Reference& reference : references()) {
    const Tokenizer& tokenizer = reference.tokenizer;
    // Between words there is a blank always.
    if (reference.name.starts_with("word")) continue;
    const Ids ids = tokenizer.encode("hello", Place::kMiddle);
    EXPECT_EQ(tokenizer.decode(ids, Place::kMiddle), "hello") << reference.name;
    // These lose blanks.
    if (is_one_of(reference.name, {"digits", "lower", "bert"})) continue;
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(" a", Place::kMiddle), Place::kMiddle), " a")
        << reference.name;
  }
}

/// Bytes that are no text stay what they are where bytes have tokens.
TEST(TokenizerReference, BytesThatAreNoTextSurvive) {
  const std::string text = "a\xff\xfe\x80 b\xe6\x97 \xc0\x80\xed\xa0\x80";
  for (const Reference& reference : references()) {
    // There what is unknown is lost, or blanks are, and SentencePiece makes U+FFFD of what is no
    // text.
    if (reference.name.starts_with("unknown") || reference.name.starts_with("pieces") ||
        reference.name.starts_with("word") ||
        is_one_of(reference.name, {"bert", "lower", "t5", "roberta"})) {
      continue;
    }
    const Tokenizer& tokenizer = reference.tokenizer;
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, Place::kMiddle), Place::kMiddle), text)
        << reference.name;
  }
}

}  // namespace
}  // namespace longwave::text
