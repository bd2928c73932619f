// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/precompiled_map.h"

#include <utf8proc.h>

#include <algorithm>

#include "longwave/text/spelling.h"
#include "longwave/text/utf8.h"

namespace longwave::text {
namespace {

/// Bytes at the front that are seen as one character, and at least one.
size_t seen_length(std::string_view text) {
  size_t length = character_length(text);
  if (length == 0) return 1;
  utf8proc_int32_t state = 0;
  auto before = static_cast<utf8proc_int32_t>(character(text));
  while (const size_t more = character_length(text.substr(length))) {
    const auto next = static_cast<utf8proc_int32_t>(character(text.substr(length)));
    if (utf8proc_grapheme_break_stateful(before, next, &state)) break;
    before = next;
    length += more;
  }
  return length;
}

}  // namespace

std::string PrecompiledMap::operator()(std::string_view text) const {
  constexpr size_t kLookedUpWhole = 6;
  const size_t limit = growth_limit(text.size());
  std::string result;
  while (!text.empty()) {
    const std::string_view seen = text.substr(0, seen_length(text));
    text.remove_prefix(seen.size());
    const auto whole = seen.size() < kLookedUpWhole ? map_.shortest_at_front(seen) : std::nullopt;
    if (whole) {
      append_bounded(result, whole->replacement, limit);
      continue;
    }
    for (std::string_view rest = seen; !rest.empty();) {
      const auto part = rest.substr(0, std::max<size_t>(character_length(rest), 1));
      const auto found = map_.shortest_at_front(part);
      append_bounded(result, found ? found->replacement : part, limit);
      rest.remove_prefix(part.size());
    }
  }
  return result;
}

}  // namespace longwave::text
