// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/lookup_words.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "longwave/base/error.h"
#include "longwave/text/utf8.h"

namespace longwave::text {
namespace {

/// Where the characters of a word begin, and its end; bytes that are no text count for themselves.
std::vector<size_t> edges_of(std::string_view word) {
  std::vector<size_t> edges = {0};
  while (edges.back() < word.size()) {
    edges.push_back(edges.back() +
                    std::max<size_t>(character_length(word.substr(edges.back())), 1));
  }
  return edges;
}

class LookupWords : public WordModel {
 public:
  LookupWords(const LookupModel& model, std::string_view where) : where_(where), model_(model) {
    for (const auto& [token, id] : model_.tokens) longest_ = std::max(longest_, token.size());
  }

  void encode(std::string_view word, std::vector<int64_t>& ids) const override {
    const size_t before = ids.size();
    const bool known = model_.parts == LookupModel::Parts::kWhole ? add(std::string(word), ids)
                                                                  : add_longest(word, ids);
    if (known) return;
    if (!model_.unknown) refuse(word);
    ids.resize(before);
    ids.push_back(*model_.unknown);
  }

 private:
  bool add(const std::string& token, std::vector<int64_t>& ids) const {
    const auto found = model_.tokens.find(token);
    if (found == model_.tokens.end()) return false;
    ids.push_back(found->second);
    return true;
  }

  /// False if a part of the word begins with no token.
  bool add_longest(std::string_view word, std::vector<int64_t>& ids) const {
    const std::vector<size_t> edges = edges_of(word);
    if (std::ssize(edges) - 1 > model_.most_characters) return false;
    size_t begin = 0;
    while (begin + 1 < edges.size()) {
      size_t end = edges.size() - 1;
      while (end > begin && !add_part(word, edges[begin], edges[end], ids)) --end;
      if (end == begin) return false;
      begin = end;
    }
    return true;
  }

  bool add_part(std::string_view word, size_t begin, size_t end, std::vector<int64_t>& ids) const {
    if (end - begin > longest_) return false;
    std::string token = begin == 0 ? std::string() : model_.continuation;
    token += word.substr(begin, end - begin);
    return add(token, ids);
  }

  [[noreturn]] void refuse(std::string_view word) const {
    constexpr size_t kShown = 100;
    throw DataError({.where = where_,
                     .what = "the vocabulary has neither this word nor a token for unknown ones",
                     .got = "\"" + std::string(word.substr(0, kShown)) + "\"",
                     .fix = "leave such words out"});
  }

  std::string where_;
  LookupModel model_;
  size_t longest_ = 0;  // bytes of a token
};

}  // namespace

std::unique_ptr<const WordModel> make_lookup_words(const LookupModel& model,
                                                   std::string_view where) {
  return std::make_unique<LookupWords>(model, where);
}

}  // namespace longwave::text
