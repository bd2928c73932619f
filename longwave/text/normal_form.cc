// SPDX-License-Identifier: Apache-2.0
#include "longwave/text/normal_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "longwave/text/utf8.h"

namespace longwave::text {
namespace {

struct Free {
  void operator()(utf8proc_uint8_t* bytes) const { std::free(bytes); }
};

/// Adds the normal form of valid UTF-8.
void append_composed(std::string& result, std::string_view valid) {
  utf8proc_uint8_t* bytes = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                   static_cast<utf8proc_ssize_t>(valid.size()), &bytes,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, Free> owner(bytes);
  if (size < 0) throw std::bad_alloc();
  result.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

}  // namespace

std::string composed(std::string_view text) {
  const bool plain = std::ranges::all_of(text, [](char byte) { return (byte & 0x80) == 0; });
  if (plain) return std::string(text);
  std::string result;
  while (!text.empty()) {
    size_t valid = 0;
    while (const size_t length = character_length(text.substr(valid))) valid += length;
    if (valid > 0) append_composed(result, text.substr(0, valid));
    text.remove_prefix(valid);
    if (text.empty()) break;
    result += text.front();
    text.remove_prefix(1);
  }
  return result;
}

}  // namespace longwave::text
