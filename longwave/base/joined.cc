// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/joined.h"

namespace longwave {
namespace {

template <typename T, typename ToText>
std::string joined_as(std::span<const T> items, std::string_view between, const ToText& text_of) {
  std::string result;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) result += between;
    result += text_of(items[i]);
  }
  return result;
}

}  // namespace

std::string joined(std::span<const std::string> words, std::string_view between) {
  return joined_as(words, between,
                   [](const std::string& word) -> const std::string& { return word; });
}

std::string joined(std::span<const int64_t> numbers, std::string_view between) {
  return joined_as(numbers, between, [](int64_t number) { return std::to_string(number); });
}

}  // namespace longwave
