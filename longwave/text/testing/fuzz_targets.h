// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/testing/fuzz.h"
#include "longwave/text/bpe_train.h"
#include "longwave/text/chat_template.h"
#include "longwave/text/sentencepiece_file.h"
#include "longwave/text/spelling.h"
#include "longwave/text/stream_decoder.h"
#include "longwave/text/tokenizer.h"
#include "longwave/text/utf8.h"

namespace longwave::testing {

/// A text that brings every rule into play.
inline constexpr std::string_view kTryingText =
    "It's  12 o'clock,\n\n caf\xc3\xa9 e\xcc\x81 <|x|> \xff!";

/// Every id is in the vocabulary, and what is streamed is what is decoded at once.
inline void try_out(const text::Tokenizer& tokenizer) {
  const std::vector<int64_t> ids = tokenizer.encode_whole(kTryingText);
  text::StreamDecoder decoder(tokenizer);
  std::string streamed;
  for (const int64_t id : ids) {
    must_hold(id >= 0 && id < tokenizer.size(), "every id is in the vocabulary");
    static_cast<void>(tokenizer.token(id));
    streamed += decoder.push(id);
  }
  streamed += decoder.finish();
  must_hold(streamed == text::showable(tokenizer.decode(ids)), "streaming changes nothing");
}

/// A file is refused with DataError, or its tokens can be used.
inline void fuzz_tokenizer(std::span<const std::byte> bytes) {
  const std::string json(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  try {
    try_out(text::Tokenizer::parse(json, "fuzz"));
  } catch (const DataError&) {
  }
}

/// A file is refused with DataError, or its pieces can be used, and survive a round trip.
inline void fuzz_sentencepiece(std::span<const std::byte> bytes) {
  const std::string file(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  try {
    const text::SentencePieceFile read = text::parse_sentencepiece(file, "fuzz");
    const std::string written = text::format_sentencepiece(read);
    must_hold(text::parse_sentencepiece(written, "again") == read, "pieces survive a round trip");
    try_out(text::Tokenizer::parse_pieces(file, "fuzz"));
  } catch (const DataError&) {
  }
}

/// A template is refused with DataError, when it is read or when it is used.
inline void fuzz_chat_template(std::span<const std::byte> bytes) {
  const std::string source(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::vector<text::Message> messages = {
      {"system", "be brief"}, {"user", "caf\xc3\xa9?"}, {"assistant", ""}, {"user", "\xff"}};
  try {
    const auto chat = text::ChatTemplate::parse(source, "fuzz", "<s>", "</s>");
    static_cast<void>(chat.render(messages));
    static_cast<void>(chat.render_closed(messages));
  } catch (const DataError&) {
  }
}

/// What `bytes_of_base64` reads.
inline std::string base64_of(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (const char byte : bytes) {
    bits = (bits << 8) | static_cast<uint8_t>(byte);
    for (count += 8; count >= 6; count -= 6) text += kDigits[(bits >> (count - 6)) & 63];
  }
  if (count > 0) text += kDigits[(bits << (6 - count)) & 63];
  while (text.size() % 4 != 0) text += '=';
  return text;
}

/// Pieces of every type, and a map of one character ("a" becomes "bc").
inline text::SentencePieceFile small_pieces(text::PieceModel::Algorithm algorithm) {
  using Type = text::PieceModel::Type;
  text::SentencePieceFile file;
  file.algorithm = algorithm;
  file.byte_fallback = true;
  file.pieces = {{"<unk>", 0, Type::kUnknown},
                 {"<s>", 0, Type::kControl},
                 {"</s>", 0, Type::kControl},
                 {"<|x|>", 0, Type::kUserDefined},
                 {"\xe2\x96\x81", -3, Type::kNormal},
                 {"o", -2, Type::kNormal},
                 {"c", -2.5F, Type::kNormal},
                 {"oc", -1, Type::kUnused},
                 {"'", -4, Type::kNormal}};
  for (int byte = 0; byte < 256; ++byte) {
    file.pieces.push_back({text::byte_name(static_cast<uint8_t>(byte)), 0, Type::kByte});
  }
  // Units of the double array: the root, whose children lie at 0 ^ byte; the child of "a" at 97,
  // whose leaf lies at 97 ^ 1 and holds place 0 of the replacements.
  std::vector<uint32_t> units(98, 0);
  units['a'] = (1U << 10) | (1U << 8) | 'a';
  units['a' ^ 1] = 1U << 31;
  const auto size = static_cast<uint32_t>(units.size() * sizeof(uint32_t));
  file.normal.charsmap.assign(reinterpret_cast<const char*>(&size), sizeof size);
  file.normal.charsmap.append(reinterpret_cast<const char*>(units.data()), size);
  file.normal.charsmap.append("bc", 3);
  return file;
}

inline std::vector<Bytes> sentencepiece_seeds() {
  using Algorithm = text::PieceModel::Algorithm;
  std::vector<Bytes> seeds;
  for (const Algorithm algorithm : {Algorithm::kMerging, Algorithm::kUnigram}) {
    text::SentencePieceFile file = small_pieces(algorithm);
    seeds.push_back(bytes_of(text::format_sentencepiece(file)));
    // Without the many pieces of bytes changes hit what is rare.
    file.pieces.resize(9);
    file.byte_fallback = false;
    file.normal.charsmap.clear();
    seeds.push_back(bytes_of(text::format_sentencepiece(file)));
  }
  return seeds;
}

inline std::vector<Bytes> chat_template_seeds() {
  static constexpr std::string_view kChat =
      "{%- macro tag(role) -%}<|{{ role|upper }}|>{%- endmacro -%}{{ bos_token }}"
      "{% for m in messages %}{% if m.role == 'user' and not loop.first %}"
      "{{ tag(m['role']) ~ m.content|trim }}{% elif m['content'] is defined %}{{ m.content[1:-1] }}"
      "{% else %}{{ raise_exception('no ' + m.role) }}{% endif %}{% endfor %}"
      "{%- if add_generation_prompt %}<|A|>{% endif %}";
  static constexpr std::string_view kWords =
      "{% set ns = namespace(n=0, last=messages[-1]) %}{%- for i in range(3) -%}"
      "{% set ns.n = ns.n + i * 2 // 1 %}{%- endfor %}{{ ns.n }} {{ 'a,b'.split(',')|join('-') }}"
      "{{ {'k': [1, 2.5, none, true]}|tojson }} {{ 'x' if messages|length > 1 else 'y' }}"
      "{{ strftime_now('%Y')|length }}{# a remark #}{{ ' s '.strip() in 'sst' }}";
  return {bytes_of(kChat), bytes_of(kWords)};
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
  const std::string marks =
      R"({"added_tokens":[{"id":5,"content":"<|x|>","special":true,"normalized":true}],)"
      R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"_"},)"
      R"({"type":"Replace","pattern":{"String":" "},"content":"_"}]},)"
      R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first"},)"
      R"("decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"_"},)"
      R"("content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ",)"
      R"("start":1,"stop":0}]},"post_processor":{"type":"TemplateProcessing","single":)"
      R"([{"SpecialToken":{"id":"s"}},{"Sequence":{"id":"A"}}],"special_tokens":)"
      R"({"s":{"id":"s","ids":[5]}}},"model":{"type":"BPE","unk_token":"?","fuse_unk":true,)"
      R"("byte_fallback":true,"vocab":{"_":0,"a":1,"_a":2,"?":3,"<0xFF>":4},)"
      R"("merges":[["_","a"]]}})";
  const std::string map =
      base64_of(small_pieces(text::PieceModel::Algorithm::kUnigram).normal.charsmap);
  const std::string scored =
      R"({"added_tokens":[{"id":5,"content":"<|x|>","single_word":true,"lstrip":true,)"
      R"("rstrip":true}],"normalizer":{"type":"Sequence","normalizers":[{"type":"Precompiled",)"
      R"("precompiled_charsmap":")" +
      map +
      R"("},{"type":"Nmt"},{"type":"Lowercase"},{"type":"StripAccents"}]},"pre_tokenizer":)"
      R"({"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Metaspace",)"
      R"("replacement":"_","prepend_scheme":"always"}]},"decoder":{"type":"Metaspace",)"
      R"("replacement":"_"},"post_processor":{"type":"RobertaProcessing","cls":["<|x|>",5],)"
      R"("sep":["<|x|>",5]},"model":{"type":"Unigram","unk_id":3,"byte_fallback":true,)"
      R"("vocab":[["_",-2],["a",-1],["_a",-1.5],["?",0],["<0xFF>",-9]]}})";
  const std::string words =
      R"({"added_tokens":[{"id":5,"content":"<|x|>"}],"normalizer":{"type":"Sequence",)"
      R"("normalizers":[{"type":"BertNormalizer","strip_accents":null},{"type":"ByteLevel"}]},)"
      R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"BertPreTokenizer"},)"
      R"({"type":"FixedLength","length":3}]},"decoder":{"type":"WordPiece","prefix":"##",)"
      R"("cleanup":true},"model":{"type":"WordPiece","unk_token":"?",)"
      R"("continuing_subword_prefix":"##","max_input_chars_per_word":9,)"
      R"("vocab":{"?":0,"i":1,"##t":2,"12":3,"##c":4}}})";
  return {bytes_of(trained.files().front().content), bytes_of(small), bytes_of(marks),
          bytes_of(scored), bytes_of(words)};
}

}  // namespace longwave::testing
