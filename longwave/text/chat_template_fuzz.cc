// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <span>

#include "longwave/text/testing/fuzz_targets.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  longwave::testing::write_seeds_if_asked(*argc, *argv, longwave::testing::chat_template_seeds());
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  longwave::testing::fuzz_chat_template(std::as_bytes(std::span(data, size)));
  return 0;
}
