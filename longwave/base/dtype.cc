// SPDX-License-Identifier: Apache-2.0
#include "longwave/base/dtype.h"

#include <array>

#include "longwave/base/assert.h"

namespace longwave {
namespace {

struct Facts {
  BlockShape block;
  std::string_view name;
};

constexpr std::array<Facts, 13> kFacts = {{{{1, 4}, "float32"},
                                           {{1, 8}, "float64"},
                                           {{1, 8}, "complex64"},
                                           {{1, 16}, "complex128"},
                                           {{1, 8}, "int64"},
                                           {{1, 4}, "int32"},
                                           {{1, 1}, "uint8"},
                                           {{1, 2}, "float16"},
                                           {{1, 2}, "bfloat16"},
                                           {{32, 34}, "q8_0"},
                                           {{32, 18}, "q4_0"},
                                           {{256, 144}, "q4_k"},
                                           {{256, 210}, "q6_k"}}};

const Facts& facts_of(DType dtype) { return kFacts[static_cast<size_t>(dtype)]; }

}  // namespace

BlockShape block_of(DType dtype) { return facts_of(dtype).block; }

bool is_blocked(DType dtype) { return block_of(dtype).elements > 1; }

size_t size_of(DType dtype) {
  LONGWAVE_ASSERT(!is_blocked(dtype), "elements of a block have no size of their own");
  return block_of(dtype).bytes;
}

size_t bytes_of(DType dtype, int64_t count) {
  const BlockShape block = block_of(dtype);
  LONGWAVE_ASSERT(count % block.elements == 0, "only whole blocks have a size");
  return static_cast<size_t>(count / block.elements) * block.bytes;
}

std::string_view name_of(DType dtype) { return facts_of(dtype).name; }

std::optional<DType> dtype_named(std::string_view name) {
  for (size_t i = 0; i < kFacts.size(); ++i) {
    if (kFacts[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace longwave
