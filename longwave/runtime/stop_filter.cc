// SPDX-License-Identifier: Apache-2.0
#include "longwave/runtime/stop_filter.h"

#include <algorithm>
#include <utility>

namespace longwave::runtime {

StopFilter::StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopFilter::push(std::string_view text) {
  if (stopped_) return {};
  held_ += text;
  size_t end = held_.size();
  for (const std::string& stop : stops_) {
    const size_t found = held_.find(stop);
    if (found == std::string::npos) continue;
    stopped_ = true;
    end = std::min(end, found);
  }
  if (stopped_) {
    held_.resize(end);
    return std::exchange(held_, {});
  }
  for (const std::string& stop : stops_) {
    // The longest end of the text that is the beginning of this stop string.
    for (size_t length = std::min(stop.size() - 1, held_.size()); length > 0; --length) {
      if (!held_.ends_with(std::string_view(stop).substr(0, length))) continue;
      end = std::min(end, held_.size() - length);
      break;
    }
  }
  std::string shown = held_.substr(0, end);
  held_.erase(0, end);
  return shown;
}

std::string StopFilter::finish() { return stopped_ ? std::string() : std::exchange(held_, {}); }

}  // namespace longwave::runtime
