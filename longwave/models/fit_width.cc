// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/fit_width.h"

#include <cstdlib>
#include <optional>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::models {

int64_t trained_count(const ParameterTable& table) {
  int64_t count = 0;
  for (const Parameter& parameter : table) {
    if (parameter.group != ParameterGroup::kBuffer) count += element_count(parameter.shape);
  }
  return count;
}

FittedWidth fit_width(const Config& config, int64_t budget) {
  constexpr int64_t kStep = 8, kWidest = 8192;
  std::optional<FittedWidth> best;
  std::optional<Report> refusal;
  for (int64_t width = kStep; width <= kWidest; width += kStep) {
    Config candidate = config;
    candidate.options.set("model.d_model", width, "equal parameters");
    try {
      const int64_t count = trained_count(parameters(candidate));
      if (!best || std::abs(count - budget) < std::abs(best->parameters - budget)) {
        best = FittedWidth{.config = std::move(candidate), .parameters = count};
      }
      // Wider models are larger still.
      if (count >= budget) break;
    } catch (const ConfigError& error) {
      if (!refusal) refusal = error.report();
    }
  }
  if (!best) throw ConfigError(*refusal);
  return *std::move(best);
}

}  // namespace longwave::models
