// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/charsmap.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "longwave/base/error.h"

namespace longwave::text {
namespace {

/// The parts of a unit of the double array.
bool has_leaf(uint32_t unit) { return ((unit >> 8) & 1) != 0; }
uint32_t value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t label(uint32_t unit) { return unit & 0x800000FF; }
uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view bytes, std::string_view where) {
  if (bytes.empty()) return;
  uint32_t size = 0;
  if (bytes.size() >= sizeof size) std::memcpy(&size, bytes.data(), sizeof size);
  const size_t room = bytes.size() - std::min(bytes.size(), sizeof size);
  if (size == 0 || size >= room || size % sizeof(uint32_t) != 0) {
    throw DataError({.where = std::string(where),
                     .what = "the normaliser's precompiled_charsmap is damaged",
                     .got = std::to_string(bytes.size()) + " bytes",
                     .fix = "download the file again"});
  }
  units_.resize(size / sizeof(uint32_t));
  std::memcpy(units_.data(), bytes.data() + sizeof size, size);
  replacements_ = bytes.substr(sizeof size + size);
}

template <typename Take>
void Charsmap::each_at_front(std::string_view text, const Take& take) const {
  if (units_.empty()) return;
  uint32_t place = offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    place ^= byte;
    if (place >= units_.size() || label(units_[place]) != byte) return;
    const uint32_t unit = units_[place];
    place ^= offset(unit);
    if (!has_leaf(unit)) continue;
    if (place >= units_.size()) return;
    const size_t begin = value(units_[place]);
    const size_t end = replacements_.find('\0', begin);
    if (begin >= replacements_.size() || end == std::string::npos) return;
    if (!take({i + 1, std::string_view(replacements_).substr(begin, end - begin)})) return;
  }
}

std::optional<Charsmap::Found> Charsmap::at_front(std::string_view text) const {
  std::optional<Found> found;
  each_at_front(text, [&found](const Found& each) {
    found = each;
    return true;
  });
  return found;
}

std::optional<Charsmap::Found> Charsmap::shortest_at_front(std::string_view text) const {
  std::optional<Found> found;
  each_at_front(text.substr(0, text.find('\0')), [&found](const Found& each) {
    found = each;
    return false;
  });
  return found;
}

}  // namespace longwave::text
