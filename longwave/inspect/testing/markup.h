// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace longwave::inspect::testing {

/// Whether every element of an XML-like document is closed in order, every attribute is quoted and
/// every '&' starts an entity. Knows the void elements of HTML that the report uses.
inline ::testing::AssertionResult well_formed(std::string_view text) {
  std::vector<std::string> open;
  const auto fail = [](const std::string& why) { return ::testing::AssertionFailure() << why; };
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '&') {
      const size_t end = text.find(';', at);
      if (end == std::string_view::npos || end - at > 8) return fail("loose & in the text");
      at = end + 1;
    } else if (text[at] == '>') {
      return fail("loose > in the text");
    } else if (text[at] != '<') {
      ++at;
    } else {
      size_t end = at + 1;
      bool is_quoted = false;
      for (; end < text.size() && (is_quoted || text[end] != '>'); ++end) {
        if (text[end] == '"') is_quoted = !is_quoted;
        if (text[end] == '<') return fail("< inside a tag");
      }
      if (end == text.size()) return fail("a tag without end");
      const std::string_view tag = text.substr(at + 1, end - at - 1);
      at = end + 1;
      if (tag.starts_with("!")) continue;
      const bool is_end = tag.starts_with("/");
      const std::string name(
          tag.substr(is_end ? 1 : 0, tag.find_first_of(" /", 1) - (is_end ? 1 : 0)));
      if (is_end) {
        if (open.empty() || open.back() != name) return fail("</" + name + "> closes nothing");
        open.pop_back();
      } else if (!tag.ends_with("/") && name != "meta") {
        open.push_back(name);
      }
    }
  }
  if (!open.empty()) return fail("<" + open.back() + "> is not closed");
  return ::testing::AssertionSuccess();
}

}  // namespace longwave::inspect::testing
