// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "longwave/base/error.h"
#include "longwave/runtime/model_folder.h"

/// Whatever the text, parse_model_config returns a configuration that survives a round trip, or
/// throws one of our errors.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace runtime = longwave::runtime;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const std::string once =
        runtime::format_model_config(runtime::parse_model_config(text, "fuzz"));
    const std::string twice =
        runtime::format_model_config(runtime::parse_model_config(once, "fuzz"));
    if (once != twice) __builtin_trap();
  } catch (const longwave::Error&) {
  }
  return 0;
}
