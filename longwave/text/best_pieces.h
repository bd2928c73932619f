// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "longwave/text/utf8.h"

namespace longwave::text {

/// Pieces with scores, and the way to cut a word into them whose scores add up to most; a character
/// that is no piece is cut off as such. `Score` is the precision of the sums.
///
/// Source     google/sentencepiece, unigram_model.cc (EncodeOptimized); Kudo 2018,
///            arXiv:1804.10959.
/// Cost       n times the longest piece, for n bytes.
/// Threads    const use is safe from many threads.
template <typename Score>
class BestPieces {
 public:
  static constexpr int32_t kUnknown = -1;

  /// What a character that is no piece costs beyond the worst piece.
  static constexpr Score kUnknownPenalty = 10;

  struct Piece {
    std::string_view text;  ///< must outlive this; not empty, no two alike
    int32_t id = kUnknown;
    double score = 0;
  };

  BestPieces(std::vector<Piece> pieces, Score unknown_score)
      : sorted_(std::move(pieces)), unknown_score_(unknown_score) {
    std::ranges::sort(sorted_, {}, &Piece::text);
  }

  /// Gives take(part of the word, id) the pieces of a word, in order.
  template <typename Take>
  void cut(std::string_view word, const Take& take) const {
    const std::vector<Step> steps = best_steps(word);
    std::vector<size_t> ends;  // of the best pieces, the last one first
    for (size_t end = word.size(); end > 0; end = steps[end].begin) ends.push_back(end);
    for (size_t i = ends.size(); i-- > 0;) {
      const Step& step = steps[ends[i]];
      take(word.substr(step.begin, ends[i] - step.begin), step.id);
    }
  }

 private:
  static constexpr size_t kNowhere = std::numeric_limits<size_t>::max();

  /// The best way to the place behind a piece.
  struct Step {
    Score score = 0;
    int32_t id = kUnknown;
    size_t begin = kNowhere;
  };

  std::vector<Step> best_steps(std::string_view word) const {
    std::vector<Step> steps(word.size() + 1);
    for (size_t begin = 0; begin < word.size();) {
      const size_t character = std::max<size_t>(character_length(word.substr(begin)), 1);
      bool single = false;
      const auto reach = [&](size_t length, double score, int32_t id) {
        Step& step = steps[begin + length];
        const double sum = score + static_cast<double>(steps[begin].score);
        if (step.begin != kNowhere && sum <= static_cast<double>(step.score)) return;
        step = {static_cast<Score>(sum), id, begin};
      };
      each_prefix(word.substr(begin), [&](const Piece& piece) {
        reach(piece.text.size(), piece.score, piece.id);
        single = single || piece.text.size() == character;
      });
      if (!single) reach(character, static_cast<double>(unknown_score_), kUnknown);
      begin += character;
    }
    return steps;
  }

  /// Gives the pieces that a text begins with, the shortest first.
  template <typename Take>
  void each_prefix(std::string_view text, const Take& take) const {
    auto low = sorted_.begin(), high = sorted_.end();
    for (size_t depth = 0; depth < text.size() && low != high; ++depth) {
      // Within the range all begin with the same `depth` bytes; the shorter ones stand first.
      const auto byte = static_cast<uint8_t>(text[depth]);
      const auto below = [depth](const Piece& piece, int limit) {
        return piece.text.size() <= depth || static_cast<uint8_t>(piece.text[depth]) < limit;
      };
      low = std::lower_bound(low, high, int{byte}, below);
      high = std::lower_bound(low, high, int{byte} + 1, below);
      if (low != high && low->text.size() == depth + 1) take(*low);
    }
  }

  std::vector<Piece> sorted_;
  Score unknown_score_;
};

}  // namespace longwave::text
