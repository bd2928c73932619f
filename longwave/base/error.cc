// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/error.h"

#include <utility>

namespace longwave {

std::string to_string(const Report& report) {
  std::string text = report.where + ": " + report.what;
  if (!report.got.empty()) text += "\n  got: " + report.got;
  if (!report.fix.empty()) text += "\n  fix: " + report.fix;
  return text;
}

Error::Error(Report report) : std::runtime_error(to_string(report)), report_(std::move(report)) {}

void require(bool condition, const char* where, const char* what) {
  if (!condition) throw InvalidArgument({.where = where, .what = what, .got = {}, .fix = {}});
}

}  // namespace longwave
