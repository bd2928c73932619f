// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/safetensors_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/file.h"

namespace longwave::io {
namespace {

namespace fs = std::filesystem;

Tensor filled(Shape shape, float first) {
  Tensor tensor(DType::kFloat32, std::move(shape));
  for (float& x : tensor.elements<float>()) x = first++;
  return tensor;
}

TEST(SafetensorsWriter, AnyOrderGivesTheBytesOfAllAtOnce) {
  const fs::path path = fs::path(::testing::TempDir()) / "any_order.safetensors";
  Weights weights;
  weights.put("a", filled({3, 5}, 1));
  weights.put("b", filled({0}, 0));
  weights.put("c", filled({7}, 100));
  std::vector<std::string> order = {"a", "b", "c"};
  do {
    SafetensorsItems items;
    for (const auto& [name, tensor] : weights.all()) items[name] = {tensor.dtype(), tensor.shape()};
    SafetensorsWriter writer(path, items, {{"format", "pt"}});
    for (const std::string& name : order) writer.write(name, weights.all().at(name));
    writer.commit();
    EXPECT_EQ(read_file(path, 1 << 20), format_safetensors(weights, {{"format", "pt"}}));
  } while (std::ranges::next_permutation(order).found);
  fs::remove(path);
}

TEST(SafetensorsWriter, RefusesWhatWasNotAnnouncedAndWhatIsMissing) {
  const fs::path path = fs::path(::testing::TempDir()) / "unfinished.safetensors";
  {
    SafetensorsWriter writer(path, {{"a", {DType::kFloat32, {2}}}});
    EXPECT_THROW(writer.write("b", filled({2}, 0)), InvalidArgument);
    EXPECT_THROW(writer.write("a", filled({3}, 0)), InvalidArgument);
    EXPECT_THROW(writer.commit(), InvalidArgument);
    writer.write("a", filled({2}, 0));
    EXPECT_THROW(writer.write("a", filled({2}, 0)), InvalidArgument);
  }
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace longwave::io
