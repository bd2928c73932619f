// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::io {
namespace {

using longwave::testing::TemporaryFolder;

/// A file with one tensor of each type, whose data begin `shift` bytes off any alignment.
std::vector<std::byte> one_of_each(size_t shift) {
  const struct {
    const char* type;
    size_t bytes;
  } types[] = {{"F32", 12}, {"F16", 6}, {"BF16", 6}, {"F64", 24}, {"I64", 24}, {"U8", 3}};
  std::string header = "{";
  size_t at = 0;
  for (const auto& [type, bytes] : types) {
    header += std::string(at == 0 ? "" : ",") + "\"" + type + "\":{\"dtype\":\"" + type +
              "\",\"shape\":[3],\"data_offsets\":[" + std::to_string(at) + "," +
              std::to_string(at + bytes) + "]}";
    at += bytes;
  }
  header += "}";
  while ((8 + header.size()) % 16 != shift) header += ' ';
  std::vector<std::byte> file(8 + header.size() + at);
  const uint64_t length = header.size();
  std::memcpy(file.data(), &length, 8);
  std::memcpy(file.data() + 8, header.data(), header.size());
  for (size_t i = 0; i < at; ++i) file[8 + header.size() + i] = static_cast<std::byte>(i % 61);
  return file;
}

TEST(MappedSafetensors, HoldsWhatReadingGives) {
  const TemporaryFolder scratch;
  for (const size_t shift : {0, 1, 2, 4}) {
    write_file_atomically(scratch / "file", std::span<const std::byte>(one_of_each(shift)));
    const Safetensors read =
        load_safetensors(scratch / "file", {.half = SafetensorsOptions::Half::kKeep});
    const MappedSafetensors mapped(scratch / "file");
    ASSERT_EQ(mapped.tensors().size(), read.weights.all().size());
    for (const auto& [name, tensor] : mapped.tensors()) {
      const StoredTensor expected = stored(read.weights.all().at(name));
      EXPECT_EQ(tensor.dtype, expected.dtype) << name;
      EXPECT_EQ(tensor.shape, expected.shape) << name;
      EXPECT_TRUE(std::ranges::equal(tensor.bytes, expected.bytes)) << name;
      const size_t element = std::max<size_t>(bytes_of(tensor.dtype, 1), 1);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.bytes.data()) % element, 0u) << name;
    }
  }
}

TEST(MappedSafetensors, RefusesWhatReadingRefuses) {
  const TemporaryFolder scratch;
  const std::vector<std::byte> good = one_of_each(0);
  write_file_atomically(scratch / "file", std::span(good).first(good.size() - 1));
  EXPECT_THROW(MappedSafetensors(scratch / "file"), DataError);
  EXPECT_THROW(MappedSafetensors(scratch / "none"), IoError);
}

}  // namespace
}  // namespace longwave::io
