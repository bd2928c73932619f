// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/names.h"

#include <algorithm>

namespace longwave::data {

std::vector<std::string> listed_names(const std::string& text) {
  std::vector<std::string> names;
  for (size_t begin = 0; !text.empty() && begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const size_t first = std::min(text.find_first_not_of(' ', begin), comma);
    const size_t last = text.find_last_not_of(' ', comma == 0 ? 0 : comma - 1);
    names.push_back(first == comma ? std::string() : text.substr(first, last + 1 - first));
    begin = comma + 1;
  }
  return names;
}

}  // namespace longwave::data
