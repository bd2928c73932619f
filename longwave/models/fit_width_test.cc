// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/fit_width.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "longwave/base/error.h"
#include "longwave/mixers/registry.h"

namespace longwave::models {
namespace {

Config config_of(const std::string& pattern, const std::vector<std::string>& changes = {}) {
  Config config{{.input_size = 3, .output_size = 10}, Options(config_schema(pattern))};
  for (const std::string& change : changes) config.options.assign(change, "test");
  return config;
}

TEST(FitWidth, ComesWithinThreePercentOfABudgetOfAMillion) {
  for (const mixers::Family& family : mixers::families()) {
    const std::string pattern = std::string(family.name) + "*2";
    const FittedWidth fitted = fit_width(config_of(pattern), 1'000'000);
    // Mamba-2 takes multiples of 32 only: what it comes to is said, not hidden.
    const double most = family.name == "mamba2" ? 0.06 : 0.03;
    EXPECT_LT(std::abs(fitted.deviation(1'000'000)), most) << family.name;
    EXPECT_EQ(trained_count(parameters(fitted.config)), fitted.parameters);
  }
}

TEST(FitWidth, NoOtherWidthIsNearer) {
  for (const char* pattern : {"s4d*2", "mamba", "attention*2 | mlp", "mamba2", "lstm s5"}) {
    for (const int64_t budget : {1, 5000, 40'000, 200'000}) {
      const FittedWidth fitted = fit_width(config_of(pattern, {"model.mlp=2"}), budget);
      int64_t least = std::numeric_limits<int64_t>::max();
      for (int64_t width = 8; width <= 512; width += 8) {
        Config config = config_of(pattern, {"model.mlp=2"});
        config.options.set("model.d_model", width, "test");
        try {
          least = std::min(least, std::abs(trained_count(parameters(config)) - budget));
        } catch (const ConfigError&) {
          continue;
        }
      }
      EXPECT_EQ(std::abs(fitted.parameters - budget), least) << pattern << ' ' << budget;
    }
  }
}

TEST(FitWidth, SaysWhyNoWidthIsAccepted) {
  EXPECT_THROW(fit_width(config_of("s5", {"s5.state=8", "s5.blocks=3"}), 1000), ConfigError);
}

}  // namespace
}  // namespace longwave::models
