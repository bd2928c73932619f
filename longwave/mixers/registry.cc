// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/registry.h"

#include <algorithm>
#include <array>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/mixers/attention/attention.h"
#include "longwave/mixers/cnn/cnn.h"
#include "longwave/mixers/dss/dss.h"
#include "longwave/mixers/gru/gru.h"
#include "longwave/mixers/lru/lru.h"
#include "longwave/mixers/lssl/lssl.h"
#include "longwave/mixers/lstm/lstm.h"
#include "longwave/mixers/mamba/mamba.h"
#include "longwave/mixers/mamba2/mamba2.h"
#include "longwave/mixers/s4/s4.h"
#include "longwave/mixers/s4d/s4d.h"
#include "longwave/mixers/s5/s5.h"

namespace longwave::mixers {
namespace {

/// In the order of the ladder; registry_torch.cc has the torch forms in the same order.
constexpr std::array kFamilies = {
    lssl::kFamily,  s4::kFamily,     dss::kFamily,       s4d::kFamily,  s5::kFamily,  lru::kFamily,
    mamba::kFamily, mamba2::kFamily, attention::kFamily, lstm::kFamily, gru::kFamily, cnn::kFamily,
};

}  // namespace

std::span<const Family> families() { return kFamilies; }

const Family& family(std::string_view name) {
  const auto found = std::ranges::find(kFamilies, name, &Family::name);
  if (found != kFamilies.end()) return *found;
  std::vector<std::string> known;
  std::string all;
  for (const Family& family : kFamilies) {
    known.emplace_back(family.name);
    all += (all.empty() ? "" : ", ") + known.back();
  }
  const std::string near = nearest(name, known);
  throw ConfigError({.where = "mixers",
                     .what = "there is no family of this name",
                     .got = "\"" + std::string(name) + "\"",
                     .fix = near.empty() ? "choose one of " + all : "did you mean " + near + "?"});
}

}  // namespace longwave::mixers
