// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/gguf_types.h"

#include <algorithm>
#include <array>

namespace longwave::io {
namespace {

/// Elements and bytes of a block, by the numbers of ggml. Types that we do not compute with have
/// their size too, so that the header is checked all the same.
constexpr std::array<GgufType, 34> kTypes = {{
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},  {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},
    {29, "IQ1_M", 256, 56},   {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},    {40, "NVFP4", 64, 36},
    {41, "Q1_0", 128, 18},
}};

struct Ours {
  DType dtype;
  std::string_view name;
};
constexpr std::array<Ours, 7> kOurs = {{{DType::kFloat32, "F32"},
                                        {DType::kFloat16, "F16"},
                                        {DType::kBFloat16, "BF16"},
                                        {DType::kQ8_0, "Q8_0"},
                                        {DType::kQ4_0, "Q4_0"},
                                        {DType::kQ4_K, "Q4_K"},
                                        {DType::kQ6_K, "Q6_K"}}};

}  // namespace

const GgufType* gguf_type(uint32_t id) {
  const auto* found = std::ranges::find(kTypes, id, &GgufType::id);
  return found == kTypes.end() ? nullptr : found;
}

const GgufType* gguf_type(std::string_view name) {
  const auto* found = std::ranges::find(kTypes, name, &GgufType::name);
  return found == kTypes.end() ? nullptr : found;
}

std::optional<DType> dtype_of(const GgufType& type) {
  const auto* found = std::ranges::find(kOurs, type.name, &Ours::name);
  return found == kOurs.end() ? std::nullopt : std::optional(found->dtype);
}

const GgufType* gguf_type(DType dtype) {
  const auto* found = std::ranges::find(kOurs, dtype, &Ours::dtype);
  return found == kOurs.end() ? nullptr : gguf_type(found->name);
}

const std::string* gguf_text(const GgufMetadata& metadata, std::string_view key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : std::get_if<std::string>(&found->second.content);
}

std::optional<uint64_t> gguf_bytes(const GgufType& type, const Shape& shape) {
  constexpr uint64_t kMostElements = uint64_t{1} << 52;
  uint64_t count = 1;
  for (const int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    const uint64_t factor = std::max<uint64_t>(1, static_cast<uint64_t>(extent));
    if (count > kMostElements / factor) return std::nullopt;
    count *= factor;
  }
  if (std::ranges::find(shape, 0) != shape.end()) count = 0;
  const uint64_t row = shape.empty() ? 1 : static_cast<uint64_t>(shape.back());
  if (row % type.block_elements != 0) return std::nullopt;
  return count / type.block_elements * type.block_bytes;
}

}  // namespace longwave::io
