// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "longwave/text/added_tokens.h"
#include "longwave/text/piece_model.h"
#include "longwave/text/piece_table.h"
#include "longwave/text/utf8.h"

namespace longwave::text {
namespace {

using Text = std::string_view;

/// A part of the text with its neighbours, as indices; merged ones are empty.
struct Part {
  Text text;
  int32_t before, after;
  bool fixed;  // a piece that the user defined is never merged
};

/// Neighbours that make a piece, when they were found.
struct Candidate {
  float score;
  int32_t place;
  size_t size;

  /// Turns the library's greatest-first heap into best-first, leftmost of equals first.
  bool operator<(const Candidate& other) const {
    return score != other.score ? score < other.score : place > other.place;
  }
};

class MergingPieces : public WordModel {
 public:
  MergingPieces(const TokenizerSpec& spec, std::string_view where)
      : table_(spec, where), defined_(spec.added, AddedToken::Match::kInWords) {}

  void encode(Text word, std::vector<int64_t>& ids) const override {
    std::vector<Part> parts = split(word);
    Halves halves;
    merge(parts, halves);
    const size_t begin = ids.size();
    for (int32_t place = parts.empty() ? kEnd : 0; place != kEnd;
         place = parts[static_cast<size_t>(place)].after) {
      add(parts[static_cast<size_t>(place)].text, halves, ids, begin);
    }
  }

 private:
  static constexpr int32_t kEnd = -1;
  /// What an unused piece was merged from.
  using Halves = std::unordered_map<Text, std::pair<Text, Text>>;

  std::vector<Part> split(Text text) const {
    std::vector<Part> parts;
    while (!text.empty()) {
      const AddedToken* token = defined_.at_front(text);
      const size_t length =
          token != nullptr ? token->content.size() : std::max<size_t>(character_length(text), 1);
      const auto place = static_cast<int32_t>(parts.size());
      parts.push_back({text.substr(0, length), place - 1, place + 1, token != nullptr});
      text.remove_prefix(length);
    }
    if (!parts.empty()) parts.back().after = kEnd;
    return parts;
  }

  void merge(std::vector<Part>& parts, Halves& halves) const {
    const auto part = [&](int32_t place) -> Part& { return parts[static_cast<size_t>(place)]; };
    std::vector<Candidate> heap;
    const auto propose = [&](int32_t place) {
      if (place == kEnd || part(place).after == kEnd) return;
      const Part &left = part(place), &right = part(left.after);
      if (left.fixed || right.fixed) return;
      const Text both(left.text.data(), left.text.size() + right.text.size());
      const int32_t id = table_.find(both);
      if (id == PieceTable::kNone) return;
      heap.push_back({table_.score(id), place, both.size()});
      std::push_heap(heap.begin(), heap.end());
      if (table_.type(id) == PieceModel::Type::kUnused) halves[both] = {left.text, right.text};
    };
    for (size_t place = 0; place + 1 < parts.size(); ++place) propose(static_cast<int32_t>(place));
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end());
      const Candidate best = heap.back();
      heap.pop_back();
      Part& left = part(best.place);
      if (left.text.empty() || left.after == kEnd) continue;
      Part& right = part(left.after);
      if (left.text.size() + right.text.size() != best.size) continue;
      left.text = {left.text.data(), best.size};
      left.after = right.after;
      if (right.after != kEnd) part(right.after).before = best.place;
      right.text = {};
      propose(left.before);
      propose(best.place);
    }
  }

  /// Takes unused pieces apart again, into those that they were merged from.
  void add(Text text, const Halves& halves, std::vector<int64_t>& ids, size_t begin) const {
    std::vector<Text> left = {text};
    while (!left.empty()) {
      const Text next = left.back();
      left.pop_back();
      const int32_t id = table_.find_any(next);
      const bool unused = id != PieceTable::kNone && table_.type(id) == PieceModel::Type::kUnused;
      const auto found = unused ? halves.find(next) : halves.end();
      if (found == halves.end()) {
        table_.add(id, next, ids, begin);
        continue;
      }
      left.push_back(found->second.second);
      left.push_back(found->second.first);
    }
  }

  PieceTable table_;
  AddedTokens defined_;
};

}  // namespace

std::unique_ptr<const WordModel> make_merging_pieces(const TokenizerSpec& spec,
                                                     std::string_view where) {
  return std::make_unique<MergingPieces>(spec, where);
}

}  // namespace longwave::text
