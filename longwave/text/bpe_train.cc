// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/bpe_train.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/text/splitter.h"
#include "longwave/text/tokenizer_json.h"

namespace longwave::text {
namespace {

constexpr int64_t kBytes = 256;

struct Word {
  std::vector<int32_t> tokens;
  int64_t count;
};

using Pair = std::pair<int32_t, int32_t>;

uint64_t key_of(Pair pair) {
  return (uint64_t{static_cast<uint32_t>(pair.first)} << 32) | static_cast<uint32_t>(pair.second);
}

/// A pair with a count that may have changed since.
struct Candidate {
  int64_t count;
  Pair pair;

  /// The heap's greatest: frequent first, then small ids.
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

/// Counts of neighbours over the distinct words of a text, kept up to date while pairs are merged.
class PairCounts {
 public:
  explicit PairCounts(std::vector<Word> words) : words_(std::move(words)) {
    for (size_t word = 0; word < words_.size(); ++word) {
      const std::vector<int32_t>& tokens = words_[word].tokens;
      for (size_t i = 0; i + 1 < tokens.size(); ++i) {
        change({tokens[i], tokens[i + 1]}, words_[word].count, word);
      }
    }
    propose_touched();
  }

  /// The most frequent pair, and how often it occurs; 0 if there is none.
  Candidate best() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end());
      const Candidate top = heap_.back();
      heap_.pop_back();
      const int64_t now = entries_.at(key_of(top.pair)).count;
      if (now == top.count) return top;
      if (now < top.count && now > 0) propose(top.pair);
    }
    return {0, {}};
  }

  void merge(Pair pair, int32_t result) {
    const std::vector<size_t> where = std::move(entries_[key_of(pair)].words);
    size_t last = words_.size();
    for (const size_t word : where) {
      if (word != last) merge_in(word, pair, result);
      last = word;
    }
    propose_touched();
  }

 private:
  struct Entry {
    int64_t count = 0;
    std::vector<size_t> words;  // that hold or held the pair
  };

  void propose_touched() {
    std::ranges::sort(touched_);
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    for (const Pair& pair : touched_) propose(pair);
    touched_.clear();
  }

  void propose(Pair pair) {
    const int64_t count = entries_[key_of(pair)].count;
    if (count <= 0) return;
    heap_.push_back({count, pair});
    std::push_heap(heap_.begin(), heap_.end());
  }

  void change(Pair pair, int64_t by, size_t word) {
    Entry& entry = entries_[key_of(pair)];
    entry.count += by;
    if (by <= 0) return;
    if (entry.words.empty() || entry.words.back() != word) entry.words.push_back(word);
    touched_.push_back(pair);
  }

  void merge_in(size_t number, Pair pair, int32_t result) {
    Word& word = words_[number];
    std::vector<int32_t>& tokens = word.tokens;
    std::vector<int32_t> merged;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const bool here =
          i + 1 < tokens.size() && tokens[i] == pair.first && tokens[i + 1] == pair.second;
      if (!here) {
        merged.push_back(tokens[i]);
        continue;
      }
      // The pairs as they are now: merged on the left of this place, not yet on its right.
      change(pair, -word.count, number);
      if (!merged.empty()) {
        change({merged.back(), pair.first}, -word.count, number);
        change({merged.back(), result}, word.count, number);
      }
      ++i;
      if (i + 1 < tokens.size()) {
        change({pair.second, tokens[i + 1]}, -word.count, number);
        change({result, tokens[i + 1]}, word.count, number);
      }
      merged.push_back(result);
    }
    tokens = std::move(merged);
  }

  std::vector<Word> words_;
  std::unordered_map<uint64_t, Entry> entries_;
  std::vector<Candidate> heap_;
  std::vector<Pair> touched_;  // whose count rose since they were proposed
};

std::vector<Word> words_in(std::span<const std::string_view> texts) {
  const Splitter splitter(kWordPattern, "tokenize train");
  std::unordered_map<std::string_view, int64_t> counts;
  for (const std::string_view text : texts) {
    std::vector<std::string_view> pieces;
    splitter.split(text, pieces);
    for (const std::string_view piece : pieces) ++counts[piece];
  }
  // In an order that depends on nothing but the words.
  const std::map<std::string_view, int64_t> sorted(counts.begin(), counts.end());
  std::vector<Word> words;
  for (const auto& [piece, count] : sorted) {
    Word word{.tokens = {}, .count = count};
    for (const char byte : piece) word.tokens.push_back(static_cast<uint8_t>(byte));
    words.push_back(std::move(word));
  }
  return words;
}

}  // namespace

Tokenizer train_bpe(std::span<const std::string_view> texts, const BpeTraining& options) {
  const auto special = static_cast<int64_t>(options.special.size());
  if (options.vocabulary < kBytes + special) {
    throw InvalidArgument({.where = "tokenize train",
                           .what = "the vocabulary must hold 256 bytes and the special tokens",
                           .got = std::to_string(options.vocabulary),
                           .fix = {}});
  }
  TokenizerSpec spec;
  spec.cuts = {Split{kWordPattern}};
  for (int64_t byte = 0; byte < kBytes; ++byte) {
    spec.tokens.emplace_back(std::string(1, static_cast<char>(byte)));
  }
  // Two merges may spell the same token; it keeps its first number.
  std::unordered_map<std::string, int32_t> known;
  PairCounts counts(words_in(texts));
  while (static_cast<int64_t>(spec.tokens.size()) < options.vocabulary - special) {
    const Candidate best = counts.best();
    if (best.count < options.least_count || best.count == 0) break;
    const auto [left, right] = best.pair;
    std::string spelt =
        *spec.tokens[static_cast<size_t>(left)] + *spec.tokens[static_cast<size_t>(right)];
    const auto [entry, is_new] = known.emplace(spelt, static_cast<int32_t>(spec.tokens.size()));
    const int32_t result = entry->second;
    if (is_new) spec.tokens.emplace_back(std::move(spelt));
    spec.model.merges.push_back({left, right, result});
    counts.merge(best.pair, result);
  }
  for (const std::string& content : options.special) {
    spec.added.push_back({.content = content,
                          .id = static_cast<int64_t>(spec.tokens.size()),
                          .match = AddedToken::Match::kRaw,
                          .special = true});
    spec.tokens.emplace_back(content);
  }
  return Tokenizer::parse(format_tokenizer(spec), "tokenize train");
}

}  // namespace longwave::text
