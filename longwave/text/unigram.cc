// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>

#include "longwave/text/piece_model.h"
#include "longwave/text/piece_table.h"
#include "longwave/text/utf8.h"

namespace longwave::text {
namespace {

/// The best way to the place behind a piece.
struct Step {
  float score = 0;
  int32_t id = PieceTable::kNone;
  size_t begin = kNowhere;

  static constexpr size_t kNowhere = std::numeric_limits<size_t>::max();
};

class Unigram : public WordModel {
 public:
  Unigram(const TokenizerSpec& spec, std::string_view where) : table_(spec, where) {
    using Type = PieceModel::Type;
    float worst = std::numeric_limits<float>::max();
    for (size_t id = 0; id < spec.pieces->pieces.size(); ++id) {
      const auto& [score, type] = spec.pieces->pieces[id];
      if (type == Type::kNormal) {
        worst = std::min(worst, score);
        best_ = std::max(best_, score);
      }
      const bool usable = type == Type::kNormal || type == Type::kUserDefined;
      if (usable) sorted_.push_back({*spec.tokens[id], static_cast<int32_t>(id)});
    }
    unknown_score_ = worst - kUnknownPenalty;
    std::ranges::sort(sorted_, {}, &Entry::text);
  }

  void encode(std::string_view word, std::vector<int64_t>& ids) const override {
    std::vector<Step> steps(word.size() + 1);
    for (size_t begin = 0; begin < word.size();) {
      const size_t character = std::max<size_t>(character_length(word.substr(begin)), 1);
      bool single = false;
      const auto reach = [&](size_t length, double score, int32_t id) {
        Step& step = steps[begin + length];
        const double sum = score + steps[begin].score;
        if (step.begin != Step::kNowhere && sum <= step.score) return;
        step = {static_cast<float>(sum), id, begin};
      };
      each_prefix(word.substr(begin), [&](size_t length, int32_t id) {
        reach(length, score_of(id, length), id);
        single = single || length == character;
      });
      if (!single) reach(character, unknown_score_, PieceTable::kNone);
      begin += character;
    }
    std::vector<size_t> ends;  // of the best pieces, the last one first
    for (size_t end = word.size(); end > 0; end = steps[end].begin) ends.push_back(end);
    const size_t first = ids.size();
    for (size_t i = ends.size(); i-- > 0;) {
      const auto& [score, id, begin] = steps[ends[i]];
      table_.add(id, word.substr(begin, ends[i] - begin), ids, first);
    }
  }

 private:
  /// What a character that is no piece costs beyond the worst piece.
  static constexpr float kUnknownPenalty = 10.0F;

  struct Entry {
    std::string_view text;
    int32_t id;
  };

  /// Pieces that the user defined are always preferred.
  double score_of(int32_t id, size_t length) const {
    if (table_.type(id) != PieceModel::Type::kUserDefined) return table_.score(id);
    return static_cast<double>(static_cast<float>(length) * best_) - 0.1;
  }

  /// Gives the pieces that a text begins with, the shortest first.
  template <typename Take>
  void each_prefix(std::string_view text, const Take& take) const {
    auto low = sorted_.begin(), high = sorted_.end();
    for (size_t depth = 0; depth < text.size() && low != high; ++depth) {
      // Within the range all begin with the same `depth` bytes; the shorter ones stand first.
      const auto byte = static_cast<uint8_t>(text[depth]);
      const auto below = [depth](const Entry& entry, int limit) {
        return entry.text.size() <= depth || static_cast<uint8_t>(entry.text[depth]) < limit;
      };
      low = std::lower_bound(low, high, int{byte}, below);
      high = std::lower_bound(low, high, int{byte} + 1, below);
      if (low != high && low->text.size() == depth + 1) take(depth + 1, low->id);
    }
  }

  PieceTable table_;
  std::vector<Entry> sorted_;
  float best_ = std::numeric_limits<float>::min();
  float unknown_score_ = 0;
};

}  // namespace

std::unique_ptr<const WordModel> make_unigram(const TokenizerSpec& spec, std::string_view where) {
  return std::make_unique<Unigram>(spec, where);
}

}  // namespace longwave::text
