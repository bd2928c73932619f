// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>

#include "longwave/text/best_pieces.h"
#include "longwave/text/piece_model.h"
#include "longwave/text/piece_table.h"

namespace longwave::text {
namespace {

using Best = BestPieces<float>;

Best best_of(const TokenizerSpec& spec) {
  using Type = PieceModel::Type;
  const std::vector<PieceModel::Piece>& pieces = spec.pieces->pieces;
  float worst = std::numeric_limits<float>::max(), best = std::numeric_limits<float>::min();
  for (const auto& [score, type] : pieces) {
    if (type != Type::kNormal) continue;
    worst = std::min(worst, score);
    best = std::max(best, score);
  }
  std::vector<Best::Piece> usable;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const auto& [score, type] = pieces[id];
    const std::string_view text = *spec.tokens[id];
    if (type == Type::kNormal) usable.push_back({text, static_cast<int32_t>(id), score});
    if (type != Type::kUserDefined) continue;
    // Pieces that the user defined are always preferred.
    const float preferred = static_cast<float>(text.size()) * best;
    usable.push_back({text, static_cast<int32_t>(id), static_cast<double>(preferred) - 0.1});
  }
  return {std::move(usable), worst - Best::kUnknownPenalty};
}

class Unigram : public WordModel {
 public:
  Unigram(const TokenizerSpec& spec, std::string_view where)
      : table_(spec, where), best_(best_of(spec)) {}

  void encode(std::string_view word, std::vector<int64_t>& ids) const override {
    const size_t first = ids.size();
    best_.cut(word, [&](std::string_view part, int32_t id) { table_.add(id, part, ids, first); });
  }

 private:
  PieceTable table_;
  Best best_;
};

}  // namespace

std::unique_ptr<const WordModel> make_unigram(const TokenizerSpec& spec, std::string_view where) {
  return std::make_unique<Unigram>(spec, where);
}

}  // namespace longwave::text
