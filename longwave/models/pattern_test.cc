// SPDX-License-Identifier: Apache-2.0
#include "longwave/models/pattern.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "longwave/base/error.h"

namespace longwave::models {
namespace {

/// "s4d s5+mlp s4d+moe": what each layer is, in short.
std::string layers(const std::string& text) {
  std::string all;
  for (const Pattern::Layer& layer : parse_pattern(text).layers) {
    const char* after[] = {"", "+mlp", "+moe"};
    all += (all.empty() ? "" : " ") + layer.family + after[static_cast<int>(layer.after)];
  }
  return all;
}

TEST(Pattern, RepeatsFamiliesAndGroups) {
  EXPECT_EQ(layers("s4d"), "s4d");
  EXPECT_EQ(layers("  s4d*2   s5 "), "s4d s4d s5");
  EXPECT_EQ(layers("(s4d s5)*2"), "s4d s5 s4d s5");
  EXPECT_EQ(layers("lru (s4d*2 (s5 lru)*2)*2 s5"),
            "lru s4d s4d s5 lru s5 lru s4d s4d s5 lru s5 lru s5");
  EXPECT_EQ(layers("( s4d )"), "s4d");
}

TEST(Pattern, SaysWhatFollowsTheMixer) {
  EXPECT_FALSE(parse_pattern("s4d*2").says_after);
  EXPECT_TRUE(parse_pattern("s4d*2 | none").says_after);
  EXPECT_EQ(layers("s4d*2 | none"), "s4d s4d");
  EXPECT_EQ(layers("s4d*2|mlp"), "s4d+mlp s4d+mlp");
  EXPECT_EQ(layers("s4d*4 | moe every 2"), "s4d s4d+moe s4d s4d+moe");
  EXPECT_EQ(layers("s4d*4 | moe every 2 offset 0, mlp"), "s4d+moe s4d+mlp s4d+moe s4d+mlp");
  EXPECT_EQ(layers("s4d*5 | none every 3, moe every 2 offset 0 , mlp"),
            "s4d+moe s4d+mlp s4d s4d+mlp s4d+moe");
}

TEST(Pattern, LayersNeedNoMixer) {
  const Pattern pattern = parse_pattern("mamba2 mlp*2 (attention moe)");
  EXPECT_TRUE(pattern.says_after);
  ASSERT_EQ(pattern.layers.size(), 5u);
  EXPECT_EQ(pattern.layers[0], (Pattern::Layer{"mamba2", AfterMixer::kNone, false}));
  EXPECT_EQ(pattern.layers[2], (Pattern::Layer{"", AfterMixer::kMlp, false}));
  EXPECT_EQ(pattern.layers[4], (Pattern::Layer{"", AfterMixer::kMoe, false}));
  EXPECT_EQ(parse_pattern("mlp mamba2 | moe").layers[0],
            (Pattern::Layer{"", AfterMixer::kMlp, false}));
}

TEST(Pattern, RejectsWhatItCannotRead) {
  for (const char* bad : {"",
                          " ",
                          "s4d*",
                          "s4d*0",
                          "s4d*-1",
                          "s4d*2x",
                          "*3",
                          "s4d*9999999999999999",
                          "s4d*1025",
                          "nothing",
                          "s4d,s4d",
                          "(s4d",
                          "s4d)",
                          "()",
                          "(s4d)s5",
                          "s4d(s5)",
                          "(s4d*1000)*1000",
                          "(((((((((s4d)))))))))",
                          "s4d |",
                          "s4d | ",
                          "s4d | mlp,",
                          "s4d | attention",
                          "s4d | mlp every",
                          "s4d | mlp every 0",
                          "s4d | mlp every 2 offset 2",
                          "s4d | mlp every 2 offset -1",
                          "s4d | mlp every 2 at 1",
                          "s4d | mlp moe",
                          "| mlp",
                          "s4d | mlp | moe"}) {
    EXPECT_THROW(parse_pattern(bad), ConfigError) << bad;
  }
}

TEST(Pattern, HoldsAsManyLayersAsAllowed) {
  EXPECT_EQ(parse_pattern("s4d*1024").layers.size(), 1024u);
  EXPECT_EQ(parse_pattern("(s4d*32)*32").layers.size(), 1024u);
}

TEST(Pattern, LayersLieBesideEachOtherOrShareABlock) {
  const std::vector<Pattern::Layer> layers =
      parse_pattern("(mamba2 shared>mamba2+attention)*2 | none").layers;
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_EQ(layers[1].family, "mamba2+attention");
  EXPECT_TRUE(layers[1].shared);
  EXPECT_FALSE(layers[2].shared);
  for (const char* bad : {"shared>", "shared>shared>mamba2", "mamba2+shared>mamba2", "mamba2+"}) {
    EXPECT_THROW(parse_pattern(bad), ConfigError) << bad;
  }
}

}  // namespace
}  // namespace longwave::models
