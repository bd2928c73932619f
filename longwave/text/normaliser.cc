// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/normaliser.h"

#include <utility>

#include "longwave/text/byte_level.h"
#include "longwave/text/spelling.h"

namespace longwave::text {

void Normaliser::Exchange::operator()(std::string& text, size_t limit) const {
  std::vector<Splitter::Segment> segments;
  pattern.segment(text, segments);
  std::string result;
  for (const Splitter::Segment& segment : segments) {
    if (segment.matches) append_bounded(result, before, limit);
    const bool kept = !segment.matches || match == Match::kKept;
    if (kept) append_bounded(result, segment.text, limit);
    if (segment.matches) append_bounded(result, after, limit);
  }
  text = std::move(result);
}

Normaliser::Normaliser(const TokenizerSpec& spec, std::string_view where) {
  for (const NormalStep& step : spec.normal) {
    if (const auto* form = std::get_if<NormalForm>(&step)) {
      steps_.emplace_back(*form);
    } else if (const auto* prepend = std::get_if<Prepend>(&step)) {
      steps_.emplace_back(*prepend);
    } else if (std::holds_alternative<Lowercase>(step)) {
      steps_.emplace_back(Lowercase{});
    } else if (std::holds_alternative<ByteCharacters>(step)) {
      steps_.emplace_back(ByteCharacters{});
    } else if (const auto* around = std::get_if<Surround>(&step)) {
      steps_.emplace_back(Exchange{Splitter(around->pattern, where), around->text,
                                   Exchange::Match::kKept, around->text});
    } else if (const auto* map = std::get_if<Precompiled>(&step)) {
      steps_.emplace_back(PrecompiledMap(map->charsmap, where));
    } else if (const auto* pieces = std::get_if<PieceNormal>(&step)) {
      AddedTokens kept(spec.added, AddedToken::Match::kInWords);
      steps_.emplace_back(PieceNormaliser(*pieces, std::move(kept), where));
    } else {
      const auto& replace = std::get<Replace>(step);
      steps_.emplace_back(Exchange{Splitter(replace.pattern, where), replace.content});
    }
  }
}

std::string Normaliser::operator()(std::string_view section, Place place) const {
  const size_t limit = growth_limit(section.size());
  std::string text(section);
  for (const auto& step : steps_) {
    if (text.empty()) break;
    if (const auto* form = std::get_if<NormalForm>(&step)) {
      text = normal(text, *form);
    } else if (const auto* prepend = std::get_if<Prepend>(&step)) {
      if (place == Place::kStart) text.insert(0, prepend->text);
    } else if (std::holds_alternative<Lowercase>(step)) {
      text = lowercase(text);
    } else if (std::holds_alternative<ByteCharacters>(step)) {
      std::string characters;
      append_bounded(characters, characters_of_bytes(text), limit);
      text = std::move(characters);
    } else if (const auto* map = std::get_if<PrecompiledMap>(&step)) {
      text = (*map)(text);
    } else if (const auto* pieces = std::get_if<PieceNormaliser>(&step)) {
      text = (*pieces)(text, place);
    } else {
      std::get<Exchange>(step)(text, limit);
    }
  }
  return text;
}

}  // namespace longwave::text
