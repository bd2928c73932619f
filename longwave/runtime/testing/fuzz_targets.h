// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/testing/fuzz.h"
#include "longwave/runtime/model_folder.h"
#include "longwave/runtime/state.h"

namespace longwave::testing {

/// A state is refused with one of our errors, or written back as it was read.
inline void fuzz_state(std::span<const std::byte> bytes) {
  try {
    const runtime::State state = runtime::parse_state(bytes, "fuzz");
    must_hold(std::ranges::equal(runtime::format_state(state), bytes), "states are canonical");
  } catch (const Error&) {
  }
}

inline std::vector<Bytes> state_seeds() {
  return {runtime::format_state({}),
          runtime::format_state({.fingerprint = 7, .position = 3, .values = {0.5F, -1.0F}}),
          runtime::format_state({.values = {0.5F, -1.0F, 2.0F, 3.0F},
                                 .parts = {{runtime::StateForm::kBFloat16, 2},
                                           {runtime::StateForm::kInt8, 1},
                                           {runtime::StateForm::kFloat32, 1}}})};
}

/// A configuration is refused with one of our errors, or survives a round trip.
inline void fuzz_model_config(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  try {
    const std::string once =
        runtime::format_model_config(runtime::parse_model_config(text, "fuzz"));
    const std::string twice =
        runtime::format_model_config(runtime::parse_model_config(once, "again"));
    must_hold(once == twice, "configurations survive a round trip");
  } catch (const Error&) {
  }
}

inline std::vector<Bytes> model_config_seeds() {
  return {bytes_of(R"({"format": "longwave-model", "version": 1,
 "io": {"input": "real", "input_size": 1, "output": "sequence", "output_size": 10},
 "model": {"pattern": "s4d*2", "d_model": 8}, "s4d": {"state": 4, "init": "lin"}})"),
          bytes_of(R"({"format": "longwave-model", "version": 1, "io": {"input": "tokens",
 "input_size": 9, "output": "step", "output_size": 9},
 "model": {"pattern": "s5 lru", "d_model": 6}})")};
}

}  // namespace longwave::testing
