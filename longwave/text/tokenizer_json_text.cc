// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "longwave/text/tokenizer_json_stages.h"

namespace longwave::text {
namespace {

using Json = nlohmann::json;

constexpr const char* kDecoder = "decoder";

void read_metaspace(const JsonReader& reader, const Json& json, DecodeSpec& decode) {
  decode.mark = read_mark(reader, json, kDecoder);
  if (read_prepend_scheme(reader, json, kDecoder) != PrependScheme::kNever) {
    decode.leading = DecodeSpec::Leading::kFirstToken;
  }
  decode.substitutes.push_back({decode.mark, " "});
}

/// Takes blanks off the beginning of the whole text.
void read_strip(const JsonReader& reader, const Json& json, DecodeSpec& decode) {
  const Json& content = reader.at(json, "content", kDecoder);
  constexpr int64_t kMost = 1 << 20;
  const int64_t start = reader.count(reader.at(json, "start", kDecoder), 0, kMost, "decoder.start");
  const int64_t stop = reader.count(reader.at(json, "stop", kDecoder), 0, kMost, "decoder.stop");
  if (content != Json(" ") || stop != 0) {
    reader.unsupported("decoder.Strip of other than blanks at the beginning", json.dump());
  }
  if (start == 0) return;
  decode.leading = DecodeSpec::Leading::kBlanks;
  decode.blanks = start;
}

/// Blanks between tokens, but before those that begin with this.
void put_blanks(std::string continuation, DecodeSpec& decode) {
  decode.between = DecodeSpec::Between::kBlank;
  decode.leading = DecodeSpec::Leading::kFirstToken;
  decode.continuation = std::move(continuation);
}

void read_word_pieces(const JsonReader& reader, const Json& json, DecodeSpec& decode) {
  const Json& prefix = reader.at(json, "prefix", kDecoder);
  const std::string continuation = prefix.is_null() ? "##" : reader.text(prefix, "decoder.prefix");
  // Every token begins with an empty one: then nothing stands between tokens.
  if (!continuation.empty()) put_blanks(continuation, decode);
  if (!reader.flag(json, "cleanup", true, kDecoder)) return;
  decode.substitutes = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
}

/// The steps of Llama's kind, in their order: Replace in each token, ByteFallback, Fuse, Strip.
struct Steps {
  const JsonReader& reader;
  DecodeSpec& decode;
  bool fused = false;

  void operator()(const Json& json) {
    const std::string type = reader.type(json, kDecoder);
    // Bytes that are named and text that is replaced have nothing to do with each other.
    const bool early = !fused;
    if (type == "Replace" && early) {
      const Json& pattern = reader.at(json, "pattern", kDecoder);
      const std::string from =
          reader.text(reader.at(pattern, "String", kDecoder), "decoder.pattern.String");
      if (from.empty()) reader.unsupported("decoder.pattern.String", "an empty text");
      decode.substitutes.push_back(
          {from, reader.text(reader.at(json, "content", kDecoder), "decoder.content")});
    } else if (type == "ByteFallback" && early && decode.bytes == DecodeSpec::Bytes::kText) {
      decode.bytes = DecodeSpec::Bytes::kNamed;
    } else if (type == "Fuse") {
      fused = true;
    } else if (type == "Strip" && fused && decode.leading == DecodeSpec::Leading::kKept) {
      read_strip(reader, json, decode);
    } else if (type == "Metaspace" && early && decode.substitutes.empty()) {
      read_metaspace(reader, json, decode);
    } else {
      reader.unsupported(kDecoder, type + (early ? "" : " at this place"));
    }
  }
};

/// Tokens of a template's part, all in the vocabulary.
void read_special(const JsonReader& reader, const Json& special, const Json& tokens, size_t known,
                  std::vector<int64_t>& ids) {
  const std::string place = "post_processor.special_tokens";
  const std::string name = reader.text(reader.at(special, "id", place), "post_processor.single");
  const Json& entry = reader.at(tokens, name.c_str(), place);
  const Json& list = reader.at(entry, "ids", place);
  if (!list.is_array()) reader.fail("post_processor: a special token has no ids", name);
  for (const Json& each : list) {
    ids.push_back(reader.id(each, place));
    if (ids.back() >= static_cast<int64_t>(known)) {
      reader.fail("post_processor: a special token is not in the vocabulary", name);
    }
  }
}

/// A special token that is given as its text and its id.
int64_t read_named(const JsonReader& reader, const Json& json, const char* key, size_t known) {
  const std::string place = std::string("post_processor.") + key;
  const Json& pair = reader.at(json, key, "post_processor");
  if (!pair.is_array() || pair.size() != 2) reader.fail(place + " must be a pair", pair.dump());
  const int64_t id = reader.id(pair[1], place);
  if (id >= static_cast<int64_t>(known)) {
    reader.fail(place + " is not in the vocabulary", std::to_string(id));
  }
  return id;
}

/// The template of a single text: special tokens before and behind it.
void read_template(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  const std::string place = "post_processor";
  const Json& tokens = reader.at(json, "special_tokens", place);
  const Json& single = reader.at(json, "single", place);
  if (!single.is_array()) reader.fail(place + ".single must be a list", single.type_name());
  bool text_seen = false;
  for (const Json& part : single) {
    const Json& special = reader.at(part, "SpecialToken", place + ".single");
    if (special.is_null()) {
      text_seen = true;
      continue;
    }
    read_special(reader, special, tokens, spec.tokens.size(), text_seen ? spec.end : spec.begin);
  }
}

}  // namespace

void read_decoder(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  const bool bytes = spec.model.alphabet == MergeModel::Alphabet::kBytes;
  if (json.is_null()) {
    if (!bytes) put_blanks({}, spec.decode);
    return;
  }
  const std::string whole = reader.type(json, kDecoder);
  if (!bytes && whole == "WordPiece") return read_word_pieces(reader, json, spec.decode);
  if (!bytes && whole == "ByteLevel") {
    spec.decode.bytes = DecodeSpec::Bytes::kCharacters;
    return;
  }
  Steps steps{reader, spec.decode};
  reader.each(json, "decoders", kDecoder, [&](const Json& part) {
    const std::string type = reader.type(part, kDecoder);
    if (bytes && type != "ByteLevel") {
      reader.unsupported("a tokenizer of bytes with this decoder", type);
    }
    if (!bytes) steps(part);
  });
}

void read_post_processor(const JsonReader& reader, const Json& json, TokenizerSpec& spec) {
  if (json.is_null()) return;
  const std::string place = "post_processor";
  reader.each(json, "processors", place, [&](const Json& part) {
    const std::string type = reader.type(part, place);
    if (type == "TemplateProcessing") {
      read_template(reader, part, spec);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      spec.begin.push_back(read_named(reader, part, "cls", spec.tokens.size()));
      spec.end.push_back(read_named(reader, part, "sep", spec.tokens.size()));
    } else if (type != "ByteLevel") {
      reader.unsupported(place, type);
    }
  });
}

}  // namespace longwave::text
