// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/unigram_words.h"

#include <algorithm>
#include <limits>
#include <string>
#include <unordered_map>

#include "longwave/base/error.h"
#include "longwave/text/best_pieces.h"
#include "longwave/text/spelling.h"

namespace longwave::text {
namespace {

using Best = BestPieces<double>;
using Ids = std::unordered_map<std::string_view, int32_t>;

/// Of pieces that are alike the last one counts.
Ids ids_of(const UnigramModel& model) {
  Ids ids;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    ids.insert_or_assign(model.pieces[id].text, static_cast<int32_t>(id));
  }
  return ids;
}

Best best_of(const UnigramModel& model, const Ids& ids) {
  double worst = std::numeric_limits<double>::infinity();
  for (const UnigramModel::Piece& piece : model.pieces) worst = std::min(worst, piece.score);
  std::vector<Best::Piece> pieces;
  for (const auto& [text, id] : ids) {
    if (text.empty()) continue;
    const bool unknown = id == model.unknown.id;
    pieces.push_back(
        {text, unknown ? Best::kUnknown : id, model.pieces[static_cast<size_t>(id)].score});
  }
  return {std::move(pieces), worst - Best::kUnknownPenalty};
}

class UnigramWords : public WordModel {
 public:
  UnigramWords(const TokenizerSpec& spec, std::string_view where)
      : where_(where),
        unknown_(spec.unigram->unknown),
        ids_(ids_of(*spec.unigram)),
        best_(best_of(*spec.unigram, ids_)) {}

  void encode(std::string_view word, std::vector<int64_t>& ids) const override {
    std::string_view unknown = word.substr(0, 0);  // ends where the next part begins
    best_.cut(word, [&](std::string_view part, int32_t id) {
      if (id == Best::kUnknown) {
        unknown = {unknown.data(), unknown.size() + part.size()};
        return;
      }
      add_unknown(unknown, ids);
      ids.push_back(id);
      unknown = {part.data() + part.size(), 0};
    });
    add_unknown(unknown, ids);
  }

 private:
  void add_unknown(std::string_view part, std::vector<int64_t>& ids) const {
    if (part.empty()) return;
    const auto found = ids_.find(part);
    if (found != ids_.end()) {
      ids.push_back(found->second);
    } else if (!unknown_.as_bytes || !add_bytes(part, ids)) {
      if (!unknown_.id) refuse(part);
      ids.push_back(*unknown_.id);
    }
  }

  /// False, and nothing added, if one of the bytes has no piece.
  bool add_bytes(std::string_view part, std::vector<int64_t>& ids) const {
    const size_t before = ids.size();
    for (const char byte : part) {
      const auto found = ids_.find(byte_name(static_cast<uint8_t>(byte)));
      if (found == ids_.end()) {
        ids.resize(before);
        return false;
      }
      ids.push_back(found->second);
    }
    return true;
  }

  [[noreturn]] void refuse(std::string_view part) const {
    constexpr size_t kShown = 100;
    throw DataError({.where = where_,
                     .what = "the vocabulary has no piece for these characters",
                     .got = "\"" + std::string(part.substr(0, kShown)) + "\"",
                     .fix = "leave such characters out"});
  }

  std::string where_;
  Unknown unknown_;
  Ids ids_;
  Best best_;
};

}  // namespace

std::unique_ptr<const WordModel> make_unigram_words(const TokenizerSpec& spec,
                                                    std::string_view where) {
  return std::make_unique<UnigramWords>(spec, where);
}

}  // namespace longwave::text
