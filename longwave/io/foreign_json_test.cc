// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/foreign_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "longwave/base/error.h"
#include "longwave/io/testing/fuzz.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::io {
namespace {

using longwave::testing::message_of;

std::string flat(const std::string& text) {
  std::string result;
  for (const Setting& leaf : parse_foreign_json(text, "config.json")) {
    result += leaf.key + "=" + to_string(leaf.value) + ";";
  }
  return result;
}

TEST(ForeignJson, LeavesGoByTheirPath) {
  EXPECT_EQ(flat("{}"), "");
  EXPECT_EQ(flat(R"({"a": [0.5, {"b": 1}, []], "c": {}, "d": {"e": {"f": "g"}}})"),
            "a.0=0.5;a.1.b=1;d.e.f=g;");
  EXPECT_EQ(flat(R"({"a": [null, [true, null], 3], "b": null})"), "a.1.0=true;a.2=3;");
}

TEST(ForeignJson, PythonsNumbersBecomeText) {
  EXPECT_EQ(flat(R"({"a": [Infinity, -Infinity], "b": NaN})"), "a.0=Infinity;a.1=-Infinity;b=NaN;");
  EXPECT_EQ(flat(R"({"NaN \" NaN": "Infinity \\"})"), "NaN \" NaN=Infinity \\;");
}

TEST(ForeignJson, WhatIsNoObjectIsRefused) {
  for (const char* text : {"", "[]", "1", "null", "{", "{\"a\": }", "{\"a\": 1} 2", "\"text\"",
                           "{\"a\": 18446744073709551615}", "{\"a\": 1, \"a\": 2}",
                           "{\"a.b\": 1, \"a\": {\"b\": 2}}"}) {
    EXPECT_NE(message_of<ConfigError>([&] {
                parse_foreign_json(text, "config.json");
              }).find("config.json"),
              std::string::npos)
        << text;
  }
  const std::string deep(100000, '[');
  message_of<ConfigError>([&] { parse_foreign_json("{\"a\": " + deep, "config.json"); });
  EXPECT_NE(message_of<ConfigError>([&] {
              parse_foreign_json("{\n\n  oops", "c.json");
            }).find("c.json:3"),
            std::string::npos);
}

TEST(ForeignJson, WhatIsWrittenIsReadBack) {
  const std::vector<Setting> settings = {
      {"a.0", 0.5, 0}, {"a.1", int64_t{-3}, 0}, {"b.c", std::string("x \"y\""), 0}, {"d", true, 0}};
  const std::vector<Setting> back = parse_foreign_json(format_foreign_json(settings), "again");
  ASSERT_EQ(back.size(), settings.size());
  for (size_t i = 0; i < back.size(); ++i) {
    EXPECT_EQ(back[i].key, settings[i].key);
    EXPECT_EQ(back[i].value, settings[i].value);
  }
  EXPECT_THROW(format_foreign_json({{"a", std::nan(""), 0}}), ConfigError);
  EXPECT_THROW(format_foreign_json({{"a", std::string("\xff"), 0}}), ConfigError);
}

TEST(ForeignJson, MutationsEndInOneOfOurErrors) {
  const std::vector<longwave::testing::Bytes> seeds = {
      longwave::testing::bytes_of(R"({"a": [0.5, {"__float__": "Infinity"}, Infinity], "b": 1})")};
  longwave::testing::replay(seeds, 3000, [](std::span<const std::byte> bytes) {
    try {
      parse_foreign_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "fuzz");
    } catch (const Error&) {
    }
  });
}

}  // namespace
}  // namespace longwave::io
