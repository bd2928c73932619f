// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "longwave/data/dataset.h"
#include "longwave/io/file.h"

namespace longwave::data {
namespace {

std::string limit_text(double limit) {
  const bool whole = limit == std::floor(limit) && std::abs(limit) < 1e6;
  return whole ? std::to_string(static_cast<int64_t>(limit)) : to_string(limit);
}

/// The row that the page must have for an option.
std::string row_of(const Option& option) {
  std::string allowed;
  for (const std::string& choice : option.choices) {
    allowed += (allowed.empty() ? "`" : ", `") + choice + "`";
  }
  if (std::isfinite(option.least)) allowed = "from " + limit_text(option.least);
  if (std::isfinite(option.most)) allowed += " to " + limit_text(option.most);
  const std::string value = to_string(option.value);
  return "| `" + option.key + "` | " + (value.empty() ? "" : "`" + value + "`") + " | " + allowed +
         " | " + option.help + " |";
}

TEST(Documentation, NamesEverySourceAndOption) {
  const std::string page =
      io::read_text(std::string(LONGWAVE_SOURCE_DIR) + "/docs/reference/data.md", 1 << 20);
  for (const Source& each : sources()) {
    const std::string heading = "\n## " + std::string(each.name) + "\n";
    const size_t begin = page.find(heading);
    ASSERT_NE(begin, std::string::npos) << "docs/reference/data.md lacks a section " << each.name;
    const std::string section = page.substr(begin, page.find("\n## ", begin + 1) - begin);
    for (const Option& option : each.schema()) {
      EXPECT_NE(section.find(row_of(option)), std::string::npos)
          << "the section " << each.name << " of docs/reference/data.md lacks the row\n"
          << row_of(option);
    }
  }
}

}  // namespace
}  // namespace longwave::data
