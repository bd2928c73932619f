// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/gguf_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::io {
namespace {

namespace fs = std::filesystem;

using longwave::testing::TemporaryFolder;

const GgufMetadata kMetadata = {{"general.architecture", GgufValue::text("mamba")}};

TEST(GgufWriter, AnyOrderGivesTheBytesOfAllAtOnce) {
  const TemporaryFolder scratch;
  const std::vector<std::byte> bytes(4 * 15 + 34, std::byte{7});
  const std::span all(bytes);
  const std::vector<GgufTensor> tensors = {
      {"b", gguf_type("F32"), {3, 5}, all.first(60)},
      {"a", gguf_type("Q8_0"), {1, 32}, all.subspan(60)},
      {"none", gguf_type("F32"), {0}, {}},
      {"last", gguf_type("F32"), {1}, all.first(4)},
  };
  std::vector<GgufItem> items;
  for (const GgufTensor& tensor : tensors) {
    items.push_back({tensor.name, tensor.type, tensor.shape});
  }
  std::vector<size_t> order = {0, 1, 2, 3};
  do {
    GgufWriter writer(scratch / "a.gguf", kMetadata, items);
    for (const size_t i : order) writer.write(tensors[i].name, tensors[i].data);
    writer.commit();
    EXPECT_EQ(read_file(scratch / "a.gguf", 1 << 20), format_gguf(kMetadata, tensors));
  } while (std::ranges::next_permutation(order).found);
}

TEST(GgufWriter, RefusesWhatWasNotAnnouncedAndWhatIsMissing) {
  const TemporaryFolder scratch;
  const fs::path path = scratch / "unfinished.gguf";
  const std::vector<std::byte> bytes(12);
  const std::span two = std::span(bytes).first(8);
  {
    GgufWriter writer(path, kMetadata, std::vector<GgufItem>{{"a", gguf_type("F32"), {2}}});
    EXPECT_THROW(writer.write("b", two), InvalidArgument);
    EXPECT_THROW(writer.write("a", bytes), InvalidArgument);
    EXPECT_THROW(writer.commit(), InvalidArgument);
    writer.write("a", two);
    EXPECT_THROW(writer.write("a", two), InvalidArgument);
  }
  EXPECT_FALSE(fs::exists(path));
  const std::vector<GgufItem> split = {{"a", gguf_type("Q8_0"), {31}}};
  EXPECT_THROW(GgufWriter(path, kMetadata, split), InvalidArgument);
  const std::vector<GgufItem> twice(2, {"a", gguf_type("F32"), {2}});
  EXPECT_THROW(GgufWriter(path, kMetadata, twice), InvalidArgument);
}

}  // namespace
}  // namespace longwave::io
