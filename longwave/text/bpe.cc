// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/bpe.h"

#include <algorithm>

namespace longwave::text {
namespace {

constexpr int32_t kNone = -1;

uint64_t key_of(int32_t left, int32_t right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

/// A token of the word with its neighbours, as indices; merged ones have id kNone.
struct Part {
  int32_t id, before, after;
};

/// A pair that could be merged when it was found.
struct Candidate {
  int32_t rank, place, result;

  /// Turns the library's greatest-first heap into earliest-first.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : place > other.place;
  }
};

}  // namespace

Bpe::Bpe(const std::vector<Merge>& merges) {
  rules_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    rules_[key_of(merge.left, merge.right)] = {static_cast<int32_t>(rank), merge.result};
  }
}

const Bpe::Rule* Bpe::rule(int32_t left, int32_t right) const {
  const auto found = rules_.find(key_of(left, right));
  return found == rules_.end() ? nullptr : &found->second;
}

void Bpe::encode(std::span<const int32_t> word, std::vector<int64_t>& ids) const {
  if (rules_.empty() || word.size() < 2) {
    ids.insert(ids.end(), word.begin(), word.end());
    return;
  }
  const auto size = static_cast<int32_t>(word.size());
  std::vector<Part> parts(word.size());
  for (int32_t i = 0; i < size; ++i) {
    parts[static_cast<size_t>(i)] = {word[static_cast<size_t>(i)], i - 1,
                                     i + 1 < size ? i + 1 : kNone};
  }
  const auto part = [&parts](int32_t place) -> Part& { return parts[static_cast<size_t>(place)]; };
  std::vector<Candidate> heap;
  const auto propose = [&](int32_t place) {
    if (place == kNone || part(place).after == kNone) return;
    const Rule* found = rule(part(place).id, part(part(place).after).id);
    if (found == nullptr) return;
    heap.push_back({found->rank, place, found->result});
    std::push_heap(heap.begin(), heap.end());
  };
  for (int32_t place = 0; place + 1 < size; ++place) propose(place);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate best = heap.back();
    heap.pop_back();
    Part& left = part(best.place);
    if (left.id == kNone || left.after == kNone) continue;
    const Rule* still = rule(left.id, part(left.after).id);
    if (still == nullptr || still->rank != best.rank) continue;
    Part& right = part(left.after);
    left.id = best.result;
    left.after = right.after;
    if (right.after != kNone) part(right.after).before = best.place;
    right.id = kNone;
    propose(left.before);
    propose(best.place);
  }
  for (int32_t place = 0; place != kNone; place = part(place).after) {
    ids.push_back(part(place).id);
  }
}

}  // namespace longwave::text
