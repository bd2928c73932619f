// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/data/builtin.h"

namespace longwave::data {

std::span<const Source> sources() {
  static const std::array kAll = {
      kFashionMnist,     kCsv,         kWav,    kDelay,     kReconstruct, kAdding, kCopying,
      kSelectiveCopying, kMackeyGlass, kParity, kInduction, kRecall,      kMqar,   kListops,
      kPathfinder,       kText,        kAuthors};
  return kAll;
}

const Source& source(std::string_view name) {
  std::vector<std::string> known;
  std::string list;
  for (const Source& candidate : sources()) {
    if (candidate.name == name) return candidate;
    known.emplace_back(candidate.name);
    list += (list.empty() ? "" : ", ") + known.back();
  }
  const std::string near = nearest(name, known);
  throw ConfigError({.where = "data.source",
                     .what = "no such source of data",
                     .got = "\"" + std::string(name) + "\"",
                     .fix = near.empty() ? "choose one of " + list : "did you mean " + near + "?"});
}

}  // namespace longwave::data
