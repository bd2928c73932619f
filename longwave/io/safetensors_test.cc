// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/safetensors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/io/file.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::io {
namespace {

using testing::message_of;
using testing::TemporaryFolder;

Tensor random_tensor(Shape shape, uint64_t stream) {
  Tensor tensor(DType::kFloat32, std::move(shape));
  Random random(7, stream);
  for (float& x : tensor.elements<float>()) x = static_cast<float>(random.normal());
  return tensor;
}

void expect_same(const Tensor& expected, const Tensor& got) {
  ASSERT_EQ(expected.dtype(), got.dtype());
  ASSERT_EQ(expected.shape(), got.shape());
  EXPECT_EQ(std::memcmp(expected.raw(), got.raw(), expected.bytes()), 0);
}

/// A file from its header text and the number of data bytes after it.
std::vector<std::byte> file_of(const std::string& header, size_t data_bytes, uint64_t length) {
  std::vector<std::byte> file(8 + header.size() + data_bytes);
  std::memcpy(file.data(), &length, 8);
  std::memcpy(file.data() + 8, header.data(), header.size());
  return file;
}
std::vector<std::byte> file_of(const std::string& header, size_t data_bytes) {
  return file_of(header, data_bytes, header.size());
}

/// A file with one tensor "x" and these data.
template <typename T>
std::vector<std::byte> file_with(const std::string& dtype, const std::vector<T>& values) {
  const size_t bytes = values.size() * sizeof(T);
  const std::string header = R"({"x":{"dtype":")" + dtype + R"(","shape":[)" +
                             std::to_string(values.size()) + R"(],"data_offsets":[0,)" +
                             std::to_string(bytes) + "]}}";
  std::vector<std::byte> file = file_of(header, bytes);
  std::memcpy(file.data() + file.size() - bytes, values.data(), bytes);
  return file;
}

TEST(Safetensors, RoundTripIsBitwise) {
  const TemporaryFolder folder;
  Weights weights;
  const std::vector<Shape> shapes = {{}, {1}, {0}, {3, 0, 5}, {17}, {2, 3, 5}, {1, 1, 1, 7}};
  for (size_t i = 0; i < shapes.size(); ++i) {
    weights.scope("layers").put(std::to_string(i) + ".weight", random_tensor(shapes[i], i));
  }
  for (const DType dtype : {DType::kFloat64, DType::kInt64, DType::kInt32, DType::kUint8}) {
    Tensor tensor(dtype, {3, 5});
    for (size_t i = 0; i < tensor.bytes(); ++i) tensor.raw()[i] = static_cast<std::byte>(i * 37);
    weights.put(std::string(name_of(dtype)), std::move(tensor));
  }
  const Metadata metadata = {{"format", "longwave"}, {"step", "12\n\"quoted\" \xc3\xa9"}};
  save_safetensors(folder / "a.safetensors", weights, metadata);
  const Safetensors loaded =
      load_safetensors(folder / "a.safetensors", {.float64 = SafetensorsOptions::Float64::kKeep});
  EXPECT_EQ(loaded.metadata, metadata);
  ASSERT_EQ(loaded.weights.all().size(), weights.all().size());
  for (const auto& [name, tensor] : weights.all()) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(loaded.weights.has(name));
    expect_same(tensor, loaded.weights.all().at(name));
  }
  EXPECT_EQ(read_file(folder / "a.safetensors", 1 << 20), format_safetensors(weights, metadata));
}

TEST(Safetensors, EmptyFileOfNoTensorsIsSound) {
  const Safetensors loaded = parse_safetensors(format_safetensors({}), "memory");
  EXPECT_TRUE(loaded.weights.all().empty());
  EXPECT_TRUE(loaded.metadata.empty());
}

TEST(Safetensors, HalfPrecisionBecomesItsExactFloat) {
  const std::vector<uint16_t> half = {0x0000, 0x8000, 0x3c00, 0xc000, 0x0001, 0x03ff,
                                      0x0400, 0x7bff, 0x7c00, 0xfc00, 0x3555};
  const std::vector<float> expected = {0.0f,
                                       -0.0f,
                                       1.0f,
                                       -2.0f,
                                       std::ldexp(1.0f, -24),
                                       std::ldexp(1023.0f, -24),
                                       std::ldexp(1.0f, -14),
                                       65504.0f,
                                       std::numeric_limits<float>::infinity(),
                                       -std::numeric_limits<float>::infinity(),
                                       std::ldexp(1365.0f, -12)};
  const Safetensors loaded = parse_safetensors(file_with("F16", half), "memory");
  const auto got = loaded.weights.get("x", {static_cast<int64_t>(half.size())});
  for (size_t i = 0; i < half.size(); ++i) {
    EXPECT_EQ(expected[i], got[i]) << i;
    EXPECT_EQ(std::signbit(expected[i]), std::signbit(got[i])) << i;
  }
  const std::vector<uint16_t> nan = {0x7e00};
  EXPECT_TRUE(
      std::isnan(parse_safetensors(file_with("F16", nan), "memory").weights.get("x", {1}).front()));
}

TEST(Safetensors, OtherFloatsAreConverted) {
  const std::vector<uint16_t> brain = {0x3f80, 0xc000, 0x4049};
  const Safetensors from_brain = parse_safetensors(file_with("BF16", brain), "memory");
  EXPECT_EQ(from_brain.weights.get("x", {3})[0], 1.0f);
  EXPECT_EQ(from_brain.weights.get("x", {3})[1], -2.0f);
  EXPECT_EQ(from_brain.weights.get("x", {3})[2], 3.140625f);
  const std::vector<double> wide = {0.1, -1e300};
  const Safetensors narrowed = parse_safetensors(file_with("F64", wide), "memory");
  EXPECT_EQ(narrowed.weights.get("x", {2})[0], 0.1f);
  EXPECT_EQ(narrowed.weights.get("x", {2})[1], -std::numeric_limits<float>::infinity());
}

TEST(Safetensors, NotFiniteIsFoundOnRequest) {
  const std::vector<float> values = {1, 2, std::nanf(""), 4};
  const auto file = file_with("F32", values);
  EXPECT_NO_THROW(static_cast<void>(parse_safetensors(file, "memory")));
  const std::string message = message_of<DataError>([&] {
    static_cast<void>(parse_safetensors(file, "m.safetensors",
                                        {.not_finite = SafetensorsOptions::NotFinite::kReject}));
  });
  EXPECT_NE(message.find("m.safetensors"), std::string::npos) << message;
  EXPECT_NE(message.find("\"x\""), std::string::npos) << message;
  EXPECT_NE(message.find("element 2"), std::string::npos) << message;
}

struct Hostile {
  const char* why;
  std::string header;
  size_t data_bytes;
  const char* says;
};

std::vector<Hostile> hostile_files() {
  const std::string two_to_the_63 = "9223372036854775808";
  return {
      {"no object", "[]", 0, "must start with {"},
      {"no JSON", "{\"x\"", 0, "not JSON"},
      {"bytes after the object", "{}x", 0, "not JSON"},
      {"not UTF-8", "{\"\xff\":1}", 0, "not JSON"},
      {"nested", R"({"x":{"dtype":{"a":1}}})", 0, "wrong kind"},
      {"deeply nested", "{\"x\":" + std::string(100000, '['), 0, "wrong kind"},
      {"number for a tensor", R"({"x":3})", 0, "wrong kind"},
      {"null for a tensor", R"({"x":null})", 0, "wrong kind"},
      {"metadata is no text", R"({"__metadata__":{"a":1}})", 0, "wrong kind"},
      {"metadata twice", R"({"__metadata__":{"a":"1","a":"2"}})", 0, "duplicate"},
      {"name twice",
       R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2, "duplicate name"},
      {"field twice", R"({"x":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1,
       "duplicate field"},
      {"field missing", R"({"x":{"dtype":"U8","shape":[1]}})", 1, "must have dtype"},
      {"field unknown", R"({"x":{"dtype":"U8","stride":[1]}})", 1, "unknown field"},
      {"type unknown", R"({"x":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4,
       "unknown element type"},
      {"type unsupported", R"({"x":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}})", 8,
       "not supported"},
      {"negative extent", R"({"x":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1,
       "wrong kind"},
      {"real extent", R"({"x":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1,
       "wrong kind"},
      {"extent too large",
       R"({"x":{"dtype":"U8","shape":[)" + two_to_the_63 + R"(],"data_offsets":[0,1]}})", 1,
       "too large"},
      {"extents overflow",
       R"({"x":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}})", 0,
       "overflow"},
      {"too many extents",
       R"({"x":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})",
       1, "too many"},
      {"three offsets", R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1,
       "wrong kind"},
      {"one offset", R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, "two numbers"},
      {"offsets backward", R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, "needs"},
      {"wrong size", R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "needs"},
      {"past the end", R"({"x":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", 4,
       "ends inside"},
      {"overlap",
       R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
       R"("y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3, "overlap"},
      {"hole",
       R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("y":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       3, "hole"},
      {"starts late", R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2, "hole"},
      {"trailing bytes", R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 2,
       "after the last tensor"},
      {"data without tensors", "{}", 1, "after the last tensor"},
  };
}

TEST(Safetensors, RejectsHostileHeaders) {
  for (const Hostile& hostile : hostile_files()) {
    SCOPED_TRACE(hostile.why);
    const auto file = file_of(hostile.header, hostile.data_bytes);
    const std::string message = message_of<DataError>(
        [&] { static_cast<void>(parse_safetensors(file, "hostile.safetensors")); });
    EXPECT_NE(message.find(hostile.says), std::string::npos) << message;
    EXPECT_NE(message.find("hostile.safetensors"), std::string::npos) << message;
  }
}

TEST(Safetensors, RejectsEveryTruncation) {
  Weights weights;
  weights.put("a", random_tensor({2, 3}, 0));
  weights.put("b", random_tensor({5}, 1));
  const auto file = format_safetensors(weights);
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THROW(static_cast<void>(parse_safetensors(std::span(file).first(size), "cut")),
                 DataError)
        << size;
  }
}

TEST(Safetensors, RejectsHeaderLengthsThatLie) {
  for (const uint64_t length :
       {uint64_t{0}, uint64_t{3}, uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 7}) {
    EXPECT_THROW(static_cast<void>(parse_safetensors(file_of("{}", 0, length), "lie")), DataError)
        << length;
  }
  EXPECT_THROW(
      static_cast<void>(parse_safetensors(format_safetensors({}), "long", {.header_limit = 8})),
      DataError);
}

TEST(Safetensors, MissingFileIsNamed) {
  const std::string message = message_of<IoError>(
      [] { static_cast<void>(load_safetensors("/nowhere/at/all.safetensors")); });
  EXPECT_NE(message.find("/nowhere/at/all.safetensors"), std::string::npos) << message;
  EXPECT_NE(message.find("fix:"), std::string::npos) << message;
}

TEST(Safetensors, RefusesWhatItCannotWrite) {
  Weights complex_weights, reserved, bad_name;
  complex_weights.put("z", Tensor(DType::kComplex64, {2}));
  reserved.put("__metadata__", Tensor(DType::kFloat32, {2}));
  bad_name.put("\xff", Tensor(DType::kFloat32, {2}));
  for (const Weights* weights : {&complex_weights, &reserved, &bad_name}) {
    EXPECT_THROW(static_cast<void>(format_safetensors(*weights)), InvalidArgument);
  }
}

}  // namespace
}  // namespace longwave::io
