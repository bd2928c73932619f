// SPDX-License-Identifier: Apache-2.0
#include "longwave/mixers/registry.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "longwave/base/error.h"
#include "longwave/mixers/mixer.h"

namespace longwave::mixers {
namespace {

constexpr int64_t kChannels = 4;

TEST(Registry, EveryFamilyMakesALayerFromItsDefaults) {
  std::set<std::string_view> names;
  for (const Family& entry : families()) {
    SCOPED_TRACE(entry.name);
    EXPECT_TRUE(names.insert(entry.name).second) << "two families of one name";
    EXPECT_EQ(&family(entry.name), &entry);
    EXPECT_FALSE(entry.summary.empty());
    const Options options(entry.schema());
    const ParameterTable table = entry.parameters(options, kChannels);
    const auto layer = entry.make(options, kChannels, initialise(table, 1), 1);
    EXPECT_EQ(layer->channels(), kChannels);
    EXPECT_TRUE(layer->causal()) << "a layer streams unless asked otherwise";
  }
}

TEST(Registry, ParametersStartFiniteAndTheSameForASeed) {
  for (const Family& entry : families()) {
    SCOPED_TRACE(entry.name);
    const ParameterTable table = entry.parameters(Options(entry.schema()), kChannels);
    const Weights first = initialise(table, 7), second = initialise(table, 7);
    std::set<std::string> names;
    for (const Parameter& parameter : table) {
      EXPECT_TRUE(names.insert(parameter.name).second) << parameter.name << " twice";
      const auto a = first.get(parameter.name, parameter.shape);
      const auto b = second.get(parameter.name, parameter.shape);
      for (size_t i = 0; i < a.size(); ++i) {
        ASSERT_TRUE(std::isfinite(a[i])) << parameter.name << " at " << i;
        ASSERT_EQ(a[i], b[i]) << parameter.name << " at " << i;
      }
    }
  }
}

TEST(Registry, MissingWeightsAreNamed) {
  for (const Family& entry : families()) {
    SCOPED_TRACE(entry.name);
    try {
      entry.make(Options(entry.schema()), kChannels, Weights(), 1);
      ADD_FAILURE() << "made a layer of nothing";
    } catch (const DataError& error) {
      EXPECT_NE(std::string(error.what()).find("missing"), std::string::npos) << error.what();
    }
  }
}

TEST(Registry, AnUnknownNameGetsTheNearestOne) {
  try {
    family("s4b");
    ADD_FAILURE() << "found a family that is not there";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace longwave::mixers
