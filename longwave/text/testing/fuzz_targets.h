// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/testing/fuzz.h"
#include "longwave/text/bpe_train.h"
#include "longwave/text/stream_decoder.h"
#include "longwave/text/tokenizer.h"

namespace longwave::testing {

/// A text that brings every rule into play.
inline constexpr std::string_view kTryingText =
    "It's  12 o'clock,\n\n caf\xc3\xa9 e\xcc\x81 <|x|> \xff!";

/// A file is refused with DataError, or its tokens spell what was encoded.
inline void fuzz_tokenizer(std::span<const std::byte> bytes) {
  const std::string json(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  try {
    const text::Tokenizer tokenizer = text::Tokenizer::parse(json, "fuzz");
    for (const int64_t id : tokenizer.encode(kTryingText)) {
      must_hold(id >= 0 && id < tokenizer.size(), "every id is in the vocabulary");
      static_cast<void>(tokenizer.token(id));
    }
  } catch (const DataError&) {
  }
}

inline std::vector<Bytes> tokenizer_seeds() {
  static constexpr std::string_view kText = "the cat, the hat, the rat";
  const std::string_view texts[] = {kText};
  const text::Tokenizer trained = text::train_bpe(texts, {.vocabulary = 262, .special = {"<|x|>"}});
  const std::string small =
      R"({"added_tokens":[{"id":3,"content":"<|x|>","special":true,"normalized":false}],)"
      R"("normalizer":{"type":"NFC"},"pre_tokenizer":{"type":"Sequence","pretokenizers":[)"
      R"({"type":"Digits","individual_digits":true},)"
      R"({"type":"ByteLevel","add_prefix_space":false}]},)"
      R"("decoder":{"type":"ByteLevel"},)"
      R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]]}})";
  return {bytes_of(trained.json()), bytes_of(small)};
}

}  // namespace longwave::testing
