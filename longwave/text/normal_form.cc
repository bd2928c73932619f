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

utf8proc_option_t options_of(NormalForm form) {
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const bool composed = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | (compatible ? UTF8PROC_COMPAT : 0) |
                                        (composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE));
}

/// Adds the normal form of valid UTF-8.
void append_normal(std::string& result, std::string_view valid, NormalForm form) {
  utf8proc_uint8_t* bytes = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()),
                   static_cast<utf8proc_ssize_t>(valid.size()), &bytes, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, Free> owner(bytes);
  if (size < 0) throw std::bad_alloc();
  result.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

}  // namespace

std::string normal(std::string_view text, NormalForm form) {
  const bool plain = std::ranges::all_of(text, [](char byte) { return (byte & 0x80) == 0; });
  if (plain) return std::string(text);
  std::string result;
  while (!text.empty()) {
    size_t valid = 0;
    while (const size_t length = character_length(text.substr(valid))) valid += length;
    if (valid > 0) append_normal(result, text.substr(0, valid), form);
    text.remove_prefix(valid);
    if (text.empty()) break;
    result += text.front();
    text.remove_prefix(1);
  }
  return result;
}

std::string lowercase(std::string_view text) {
  // The only letter that becomes two characters.
  constexpr char32_t kCapitalDottedI = 0x130;
  std::string result;
  while (!text.empty()) {
    const size_t length = character_length(text);
    const char32_t number = length > 0 ? character(text) : 0;
    if (length == 0) {
      result += text.front();
    } else if (number == kCapitalDottedI) {
      result += "i\u0307";
    } else {
      append_character(
          result, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(number))));
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return result;
}

}  // namespace longwave::text
