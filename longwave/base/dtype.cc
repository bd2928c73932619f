// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/dtype.h"

#include <array>

namespace longwave {
namespace {

struct Facts {
  size_t bytes;
  std::string_view name;
};

constexpr std::array<Facts, 7> kFacts = {{{4, "float32"},
                                          {8, "float64"},
                                          {8, "complex64"},
                                          {16, "complex128"},
                                          {8, "int64"},
                                          {4, "int32"},
                                          {1, "uint8"}}};

}  // namespace

size_t size_of(DType dtype) { return kFacts[static_cast<size_t>(dtype)].bytes; }

std::string_view name_of(DType dtype) { return kFacts[static_cast<size_t>(dtype)].name; }

}  // namespace longwave
