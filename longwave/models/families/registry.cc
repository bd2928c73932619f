// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "longwave/models/families/family.h"

namespace longwave::models {

std::span<const PublishedFamily> published_families() {
  static const std::array kAll = {
      kBambaFamily, kFalconH1Family, kFalconMambaFamily, kGraniteMoeHybridFamily,
      kJambaFamily, kMambaFamily,    kMamba2Family,      kNemotronHFamily,
      kZamba2Family};
  return kAll;
}

const PublishedFamily* find_published_family(std::string_view model_type) {
  const auto all = published_families();
  const auto found = std::ranges::find(all, model_type, &PublishedFamily::model_type);
  return found == all.end() ? nullptr : &*found;
}

}  // namespace longwave::models
