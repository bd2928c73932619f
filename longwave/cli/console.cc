// SPDX-License-Identifier: Apache-2.0
#include "longwave/cli/console.h"

#include <array>

namespace longwave::cli {

void Console::say(std::string_view text) {
  if (!quiet) err << text << '\n' << std::flush;
}

std::string Console::mark(Emphasis emphasis, std::string_view text) const {
  constexpr std::array<std::string_view, 4> kCodes = {"1", "2", "32", "31"};
  if (!colours) return std::string(text);
  std::string marked = "\x1b[";
  marked += kCodes[static_cast<size_t>(emphasis)];
  marked += 'm';
  marked += text;
  return marked + "\x1b[0m";
}

}  // namespace longwave::cli
