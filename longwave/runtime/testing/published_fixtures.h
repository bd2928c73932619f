// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/runtime/published_folder.h"

namespace longwave::runtime::testing {

/// Tiny published models of random weights, made by tests/fixtures/make_published.py.
inline const std::filesystem::path kFixtures = LONGWAVE_SOURCE_DIR "/tests/fixtures/published";

inline std::string config_text(const std::string& name) {
  return io::read_text(kFixtures / name / "config.json", 1 << 20);
}

/// Expects that a fixture's configuration, with `from` replaced by `to`, is refused naming `key`.
inline void expect_refused(const std::string& name, const std::string& from, const std::string& to,
                           const std::string& key) {
  std::string text = config_text(name);
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  const std::string said = longwave::testing::message_of<ConfigError>(
      [&] { parse_published_config(text, "config.json"); });
  EXPECT_NE(said.find(key), std::string::npos) << said;
}

}  // namespace longwave::runtime::testing
