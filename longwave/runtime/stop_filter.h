// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longwave::runtime {

/// Lets text through up to the first stop string, and holds back what may yet become one.
///
/// Threads    one owner at a time.
class StopFilter {
 public:
  /// Empty stop strings are ignored.
  explicit StopFilter(std::vector<std::string> stops);

  /// What can be shown after `text` was added.
  std::string push(std::string_view text);

  /// True once a stop string was met; nothing comes out any more.
  bool stopped() const { return stopped_; }

  /// What was held back and became no stop string.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace longwave::runtime
