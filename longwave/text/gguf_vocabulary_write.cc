// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/text/byte_level.h"
#include "longwave/text/gguf_cuts.h"
#include "longwave/text/gguf_keys.h"
#include "longwave/text/gguf_vocabulary.h"
#include "longwave/text/spelling.h"

namespace longwave::text {
namespace {

using namespace gguf;
using io::GgufValue;

/// The first of these that is an added token.
std::optional<int64_t> first_of(const Tokenizer& tokenizer,
                                std::initializer_list<const char*> contents) {
  for (const char* content : contents) {
    if (const auto id = tokenizer.added(content)) return id;
  }
  return std::nullopt;
}

/// Columns of the file's table of tokens.
struct Table {
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
  std::vector<double> scores;
};

bool is_of_bytes(const TokenizerSpec& spec) {
  return !spec.pieces && spec.model.alphabet == MergeModel::Alphabet::kBytes;
}

std::optional<int32_t> unknown_of(const TokenizerSpec& spec) {
  if (spec.pieces) return spec.pieces->unknown.id;
  if (spec.lookup) return spec.lookup->unknown;
  return (spec.unigram ? spec.unigram->unknown : spec.model.unknown).id;
}

/// Merges spell their tokens as bytes' characters, or as they are; ids that are not used are filled
/// up.
Table table_of(const TokenizerSpec& spec, size_t size) {
  const bool bytes = is_of_bytes(spec);
  Table table{.tokens = std::vector<std::string>(size),
              .types = std::vector<int64_t>(size, kNormal),
              .scores = std::vector<double>(size, 0.0)};
  for (size_t id = 0; id < size; ++id) {
    if (id < spec.tokens.size() && spec.tokens[id]) {
      table.tokens[id] = bytes ? characters_of_bytes(*spec.tokens[id]) : *spec.tokens[id];
    } else {
      table.tokens[id] = "[PAD" + std::to_string(id) + "]";
      table.types[id] = kUnused;
    }
  }
  for (const AddedToken& added : spec.added) {
    table.tokens[static_cast<size_t>(added.id)] = added.content;
    table.types[static_cast<size_t>(added.id)] = added.special ? kControl : kUserDefined;
  }
  return table;
}

void put(std::string key, GgufValue value, io::GgufMetadata& metadata) {
  metadata.insert_or_assign(std::move(key), std::move(value));
}

void add_bytes(const TokenizerSpec& spec, const Table& table, io::GgufMetadata& metadata) {
  std::vector<std::string> merges;
  for (const Merge& merge : spec.model.merges) {
    merges.push_back(table.tokens[static_cast<size_t>(merge.left)] + " " +
                     table.tokens[static_cast<size_t>(merge.right)]);
  }
  put(kModel, GgufValue::text(kBytes), metadata);
  put(kMerges, GgufValue::texts(std::move(merges)), metadata);
  if (const GgufCut* cut = gguf_cut(spec)) {
    put(kCut, GgufValue::text(std::string(cut->names.front())), metadata);
  }
}

void put_charsmap(const std::string& charsmap, io::GgufMetadata& metadata) {
  std::vector<uint64_t> bytes;
  for (const char byte : charsmap) bytes.push_back(static_cast<uint8_t>(byte));
  put(kCharsmap, {io::GgufKind::kArray, io::GgufArray{io::GgufKind::kUint8, std::move(bytes)}},
      metadata);
}

/// Merges of characters as pieces: an earlier merge has a better score. Pieces of Unigram have
/// theirs.
void add_characters(const TokenizerSpec& spec, Table& table, io::GgufMetadata& metadata) {
  const auto& merges = spec.model.merges;
  for (size_t rank = merges.size(); rank-- > 0;) {
    table.scores[static_cast<size_t>(merges[rank].result)] = -static_cast<double>(rank);
  }
  if (spec.unigram) {
    const auto& pieces = spec.unigram->pieces;
    for (size_t id = 0; id < pieces.size(); ++id) table.scores[id] = pieces[id].score;
  }
  const Unknown& unknown = spec.unigram ? spec.unigram->unknown : spec.model.unknown;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const bool byte =
        unknown.as_bytes && table.types[id] == kNormal && named_byte(table.tokens[id]);
    if (byte) table.types[id] = kByte;
  }
  if (unknown.id) table.types[static_cast<size_t>(*unknown.id)] = kUnknown;
  const auto is_prefix = [](const auto& step) { return std::holds_alternative<Prepend>(step); };
  const auto is_first = [](const CutStep& step) { return std::holds_alternative<Prefix>(step); };
  const bool blank_first =
      std::ranges::any_of(spec.normal, is_prefix) || std::ranges::any_of(spec.cuts, is_first);
  put(kModel, GgufValue::text(spec.unigram ? kUnigram : kMerging), metadata);
  put(kBlankFirst, GgufValue::flag(blank_first), metadata);
  for (const NormalStep& step : spec.normal) {
    if (const auto* map = std::get_if<Precompiled>(&step)) put_charsmap(map->charsmap, metadata);
  }
}

/// Words, or their pieces as llama.cpp spells them: the first of a word begins with a mark, and
/// others with nothing.
void add_words(const TokenizerSpec& spec, Table& table, io::GgufMetadata& metadata) {
  const LookupModel& model = *spec.lookup;
  if (model.unknown) table.types[static_cast<size_t>(*model.unknown)] = kUnknown;
  const bool pieces = model.parts == LookupModel::Parts::kLongest;
  put(kModel, GgufValue::text(pieces ? kWordPieces : kWords), metadata);
  if (!pieces) return;
  for (size_t id = 0; id < table.tokens.size(); ++id) {
    std::string& token = table.tokens[id];
    if (table.types[id] != kNormal) continue;
    const bool goes_on = !model.continuation.empty() && token.starts_with(model.continuation);
    token = goes_on ? token.substr(model.continuation.size()) : kBlankMark + token;
  }
}

void add_pieces(const TokenizerSpec& spec, Table& table, io::GgufMetadata& metadata) {
  const std::vector<PieceModel::Piece>& pieces = spec.pieces->pieces;
  for (size_t id = 0; id < pieces.size(); ++id) {
    table.scores[id] = pieces[id].score;
    table.types[id] = static_cast<int64_t>(pieces[id].type);
  }
  const auto& normal = std::get<PieceNormal>(spec.normal.front());
  const bool merging = spec.pieces->algorithm == PieceModel::Algorithm::kMerging;
  put(kModel, GgufValue::text(merging ? kMerging : kUnigram), metadata);
  put(kBlankFirst, GgufValue::flag(normal.blank_first), metadata);
  put(kSingleBlanks, GgufValue::flag(normal.single_blanks), metadata);
  if (!normal.charsmap.empty()) put_charsmap(normal.charsmap, metadata);
}

/// The tokens that begin and end texts: what the tokenizer says, or else what they are mostly
/// called.
void add_ends(const Tokenizer& tokenizer, io::GgufMetadata& metadata) {
  const TokenizerSpec& spec = tokenizer.spec();
  auto begin = first_of(tokenizer, {"<|begin_of_text|>", "<s>", "<|endoftext|>"});
  auto end = first_of(tokenizer, {"<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "</s>"});
  if (!spec.begin.empty()) begin = spec.begin.front();
  if (!spec.ends.empty()) end = spec.ends.front();
  const auto put_id = [&](const char* key, std::optional<int64_t> id) {
    if (id) put(key, GgufValue::uint32(static_cast<uint32_t>(*id)), metadata);
  };
  put_id(kEnd, end);
  put_id(kBegin, begin);
  put_id(kUnknownToken, unknown_of(spec));
  put(kAddBegin, GgufValue::flag(!spec.begin.empty()), metadata);
  put(kAddEnd, GgufValue::flag(!spec.end.empty()), metadata);
}

}  // namespace

void add_vocabulary(const Tokenizer& tokenizer, int64_t vocabulary, io::GgufMetadata& metadata) {
  const TokenizerSpec& spec = tokenizer.spec();
  const auto size = static_cast<size_t>(vocabulary);
  if (spec.tokens.size() > size) {
    throw InvalidArgument(
        {.where = "add_vocabulary",
         .what = "the tokenizer has more tokens than the model",
         .got = std::to_string(spec.tokens.size()) + " and " + std::to_string(vocabulary),
         .fix = "use the tokenizer that the model was trained with"});
  }
  Table table = table_of(spec, size);
  if (spec.pieces) {
    add_pieces(spec, table, metadata);
  } else if (spec.lookup) {
    add_words(spec, table, metadata);
  } else if (is_of_bytes(spec)) {
    add_bytes(spec, table, metadata);
  } else {
    add_characters(spec, table, metadata);
  }
  if (!spec.pieces) {
    put(kJson, GgufValue::text(tokenizer.files().front().content), metadata);
  }
  if (*io::gguf_text(metadata, kModel) != kBytes) {
    put(kScores,
        {io::GgufKind::kArray, io::GgufArray{io::GgufKind::kFloat32, std::move(table.scores)}},
        metadata);
  }
  put(kTokens, GgufValue::texts(std::move(table.tokens)), metadata);
  put(kTypes, GgufValue::int32s(std::move(table.types)), metadata);
  add_ends(tokenizer, metadata);
}

}  // namespace longwave::text
