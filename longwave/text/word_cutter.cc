// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/word_cutter.h"

#include <utility>

#include "longwave/text/byte_level.h"
#include "longwave/text/spelling.h"
#include "longwave/text/utf8.h"

namespace longwave::text {
namespace {

size_t characters_in(std::string_view text) {
  size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(character_length(text));
  return count;
}

/// Cuts a word where the characters that stand for its bytes are cut.
void split_by_characters(const Splitter& pattern, Splitter::Matches matches, std::string_view word,
                         std::vector<std::string_view>& pieces) {
  const std::string characters = characters_of_bytes(word);
  std::vector<std::string_view> parts;
  pattern.split(characters, parts, matches);
  const char* read = characters.data();
  for (const std::string_view part : parts) {
    word.remove_prefix(characters_in({read, part.data()}));
    const size_t bytes = characters_in(part);
    pieces.push_back(word.substr(0, bytes));
    word.remove_prefix(bytes);
    read = part.data() + part.size();
  }
}

}  // namespace

WordCutter::WordCutter(const std::vector<CutStep>& steps, std::string_view where) {
  for (const CutStep& step : steps) {
    if (const auto* substitute = std::get_if<Substitute>(&step)) {
      steps_.emplace_back(*substitute);
    } else if (const auto* prefix = std::get_if<Prefix>(&step)) {
      steps_.emplace_back(*prefix);
    } else {
      const auto& split = std::get<Split>(step);
      steps_.emplace_back(Cut{Splitter(split.pattern, where), split.matches, split.sees});
    }
  }
}

std::vector<std::string_view> WordCutter::Cut::operator()(
    const std::vector<std::string_view>& words) const {
  std::vector<std::string_view> finer;
  for (const std::string_view word : words) {
    if (sees == Split::Sees::kText) {
      pattern.split(word, finer, matches);
    } else {
      split_by_characters(pattern, matches, word, finer);
    }
  }
  return finer;
}

WordCutter::Words WordCutter::operator()(std::string_view text, Section section) const {
  Words result;
  std::vector<std::string_view>& words = result.words;
  words.push_back(text);
  const auto made = [&result](std::string content) -> std::string_view {
    return result.made.emplace_back(std::move(content));
  };
  for (const auto& step : steps_) {
    if (const auto* substitute = std::get_if<Substitute>(&step)) {
      for (std::string_view& word : words) {
        if (word.find(substitute->from) != std::string_view::npos) {
          word = made(substituted(word, *substitute, growth_limit(text.size())));
        }
      }
    } else if (const auto* prefix = std::get_if<Prefix>(&step)) {
      for (size_t i = 0; i < words.size(); ++i) {
        const bool begins = i == 0 && section == Section::kFirst;
        const bool wanted =
            prefix->where == Prefix::Where::kAll ? i > 0 || section != Section::kGoesOn : begins;
        if (wanted && !words[i].starts_with(prefix->text)) {
          words[i] = made(prefix->text + std::string(words[i]));
        }
      }
    } else {
      std::vector<std::string_view> finer = std::get<Cut>(step)(words);
      // A word does not begin the text, nor goes on with one, where something was lost before it.
      const bool lost =
          !words.empty() && (finer.empty() || finer.front().data() != words.front().data());
      if (lost) section = Section::kLater;
      words = std::move(finer);
    }
  }
  return result;
}

}  // namespace longwave::text
