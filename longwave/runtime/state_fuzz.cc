// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/base/error.h"
#include "longwave/runtime/state.h"

/// Whatever the bytes, parse_state returns a state that is written back as it was read, or throws
/// one of our errors.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const longwave::runtime::State state = longwave::runtime::parse_state(bytes, "fuzz");
    if (!std::ranges::equal(longwave::runtime::format_state(state), bytes)) __builtin_trap();
  } catch (const longwave::Error&) {
  }
  return 0;
}
