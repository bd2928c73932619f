// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/gguf.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::io {
namespace {

using testing::message_of;
using testing::TemporaryFolder;

const std::filesystem::path kFixtures = LONGWAVE_SOURCE_DIR "/tests/fixtures/gguf";

/// A file made number by number, so that it can be wrong.
class Draft {
 public:
  template <typename T>
  Draft& number(T value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Draft& text(std::string_view value) {
    number(uint64_t{value.size()});
    const auto bytes = std::as_bytes(std::span(value));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Draft& start(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
    return number(uint32_t{0x46554747}).number(version).number(tensors).number(keys);
  }
  Draft& tensor(std::string_view name, const std::vector<uint64_t>& extents, uint32_t type,
                uint64_t offset) {
    text(name).number(static_cast<uint32_t>(extents.size()));
    for (const uint64_t extent : extents) number(extent);
    return number(type).number(offset);
  }
  Draft& data(size_t bytes) {
    bytes_.resize((bytes_.size() + 31) / 32 * 32 + bytes);
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

std::string refusal(const std::vector<std::byte>& file) {
  return message_of<DataError>([&] { parse_gguf_header(file, "f.gguf"); });
}

void expect_refused(const std::vector<std::byte>& file, const std::string& part) {
  const std::string message = refusal(file);
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

const GgufEntry& entry_of(const Gguf& file, const std::string& name) {
  const auto found = std::ranges::find(file.entries(), name, &GgufEntry::name);
  EXPECT_NE(found, file.entries().end()) << name;
  return *found;
}

TEST(Gguf, ReadsWhatThePythonPackageWrites) {
  for (const char* name : {"kinds.gguf", "aligned.gguf", "version2.gguf"}) {
    const Gguf file(kFixtures / name);
    const GgufMetadata& values = file.metadata();
    EXPECT_EQ(*gguf_text(values, "general.architecture"), "mamba");
    EXPECT_EQ(*gguf_text(values, "of.text"), "Größe 😀");
    const auto value = [&](const char* key) { return values.at(key); };
    EXPECT_EQ(value("of.uint8"), (GgufValue{GgufKind::kUint8, uint64_t{200}}));
    EXPECT_EQ(value("of.int8"), (GgufValue{GgufKind::kInt8, int64_t{-100}}));
    EXPECT_EQ(value("of.uint16"), (GgufValue{GgufKind::kUint16, uint64_t{60000}}));
    EXPECT_EQ(value("of.int16"), (GgufValue{GgufKind::kInt16, int64_t{-30000}}));
    EXPECT_EQ(value("of.uint32"), GgufValue::uint32(4000000000));
    EXPECT_EQ(value("of.int32"), (GgufValue{GgufKind::kInt32, int64_t{-2000000000}}));
    EXPECT_EQ(value("of.float32"), GgufValue::float32(0.1F));
    EXPECT_EQ(value("of.uint64"),
              (GgufValue{GgufKind::kUint64, std::numeric_limits<uint64_t>::max()}));
    EXPECT_EQ(value("of.int64"),
              (GgufValue{GgufKind::kInt64, std::numeric_limits<int64_t>::min()}));
    EXPECT_EQ(value("of.float64"), (GgufValue{GgufKind::kFloat64, 0.1}));
    EXPECT_EQ(value("of.flag"), GgufValue::flag(true));
    EXPECT_EQ(value("of.texts"), GgufValue::texts({"a", "", "ü"}));
    EXPECT_EQ(*gguf_items<int64_t>(values, "of.numbers"), (std::vector<int64_t>{-1, 0, 70000}));
    EXPECT_EQ(*gguf_items<double>(values, "of.reals"), (std::vector<double>{0.5, -2}));
    EXPECT_EQ(*gguf_items<bool>(values, "of.flags"), (std::vector<bool>{true, false}));
    EXPECT_EQ(gguf_items<bool>(values, "of.reals"), nullptr);
  }
}

TEST(Gguf, TensorsHaveTheirTypesShapesAndBytes) {
  const Gguf file(kFixtures / "kinds.gguf");
  const Gguf aligned(kFixtures / "aligned.gguf");
  const auto expect = [&](const char* name, const char* type, const Shape& shape, size_t bytes) {
    const GgufEntry& entry = entry_of(file, name);
    EXPECT_EQ(entry.type->name, type);
    EXPECT_EQ(entry.shape, shape) << name;
    const auto data = file.data(entry), same = aligned.data(entry_of(aligned, name));
    EXPECT_EQ(data.size(), bytes) << name;
    EXPECT_TRUE(std::ranges::equal(data, same)) << name;
  };
  expect("plain", "F32", {3, 5}, 60);
  expect("cube", "F32", {3, 5, 8}, 480);
  expect("half", "F16", {3, 7}, 42);
  expect("bf16", "BF16", {3, 256}, 1536);
  expect("q8_0", "Q8_0", {3, 256}, 816);
  expect("q4_0", "Q4_0", {3, 256}, 432);
  expect("q5_1", "Q5_1", {3, 256}, 576);
  expect("q4_k", "Q4_K", {3, 256}, 432);
  expect("q6_k", "Q6_K", {3, 256}, 630);
  expect("ids", "I32", {4}, 16);
  const auto ids = file.data(entry_of(file, "ids"));
  for (int32_t i = 0; i < 4; ++i) {
    int32_t id = -1;
    std::memcpy(&id, ids.data() + 4 * i, 4);
    EXPECT_EQ(id, i);
  }
}

TEST(Gguf, WritingWhatWasReadGivesTheSame) {
  const TemporaryFolder folder;
  const Gguf file(kFixtures / "kinds.gguf");
  std::vector<GgufTensor> tensors;
  for (const GgufEntry& entry : file.entries()) {
    tensors.push_back({entry.name, entry.type, entry.shape, file.data(entry)});
  }
  save_gguf(folder / "a.gguf", file.metadata(), tensors);
  const Gguf again(folder / "a.gguf");
  EXPECT_EQ(again.metadata(), file.metadata());
  ASSERT_EQ(again.entries().size(), file.entries().size());
  for (const GgufEntry& entry : file.entries()) {
    const GgufEntry& copy = entry_of(again, entry.name);
    EXPECT_EQ(copy.shape, entry.shape);
    EXPECT_EQ(copy.type, entry.type);
    EXPECT_EQ(copy.begin % 32, 0u);
    EXPECT_TRUE(std::ranges::equal(again.data(copy), file.data(entry)));
  }
  EXPECT_TRUE(std::ranges::equal(format_gguf(file.metadata(), tensors),
                                 read_file(folder / "a.gguf", 1 << 20)));
}

TEST(Gguf, EveryTruncationIsRefused) {
  const std::vector<std::byte> whole = read_file(kFixtures / "kinds.gguf", 1 << 20);
  const size_t end = whole.size() - 16;  // padding after the last tensor, of 16 bytes
  for (size_t size = 0; size < end; size += size < 1400 ? 1 : 97) {
    EXPECT_THROW(parse_gguf_header(std::span(whole).first(size), "cut"), DataError) << size;
  }
  EXPECT_NO_THROW(parse_gguf_header(std::span(whole).first(end), "unpadded"));
}

TEST(Gguf, StrangeHeadersAreRefused) {
  expect_refused({}, "the first four bytes");
  expect_refused(Draft().number(uint32_t{0x46474747}).data(64).bytes(), "GGUF");
  expect_refused(Draft().start(0, 0, 1).bytes(), "version 1");
  expect_refused(Draft().start(0, 0, 4).bytes(), "version 4");
  expect_refused(Draft().start(0, 0, 3u << 24).bytes(), "big-endian");
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  expect_refused(Draft().start(kHuge, 0).bytes(), "number of tensors");
  expect_refused(Draft().start(0, kHuge / 8).bytes(), "number of metadata keys");
  expect_refused(Draft().start(0, 1).number(kHuge).data(64).bytes(), "metadata key");
  expect_refused(Draft().start(0, 1).text("").number(uint64_t{0}).bytes(), "1 to 65535");
  expect_refused(Draft().start(0, 1).text("k").number(uint32_t{13}).number(0).bytes(),
                 "unknown kind");
  expect_refused(Draft().start(0, 1).text("k").number(uint32_t{7}).number(uint8_t{2}).bytes(),
                 "0 or 1");
  expect_refused(Draft().start(0, 1).text("k").number(uint32_t{8}).number(kHuge).bytes(),
                 "ends inside");
  const auto flag = [](Draft& draft) { draft.text("k").number(uint32_t{7}).number(uint8_t{1}); };
  Draft twice;
  flag(twice.start(0, 2));
  flag(twice);
  expect_refused(twice.bytes(), "duplicate key \"k\"");
}

TEST(Gguf, StrangeArraysAreRefused) {
  const auto start = [](uint32_t kind, uint64_t length) {
    return Draft().start(0, 1).text("k").number(uint32_t{9}).number(kind).number(length);
  };
  expect_refused(start(4, 1000).data(64).bytes(), "length of array");
  expect_refused(start(8, uint64_t{1} << 61).data(64).bytes(), "length of array");
  Draft deep = start(9, 1);
  for (int i = 0; i < 100; ++i) deep.number(uint32_t{9}).number(uint64_t{1});
  expect_refused(deep.data(64).bytes(), "too deeply");
}

TEST(Gguf, StrangeAlignmentsAreRefused) {
  const auto with = [](uint32_t alignment) {
    return Draft()
        .start(0, 1)
        .text("general.alignment")
        .number(uint32_t{4})
        .number(alignment)
        .bytes();
  };
  EXPECT_NO_THROW(parse_gguf_header(with(8), "f"));
  for (const uint32_t alignment : {0u, 33u, 1u << 30}) {
    expect_refused(with(alignment), "power of two");
  }
}

TEST(Gguf, StrangeTensorsAreRefused) {
  const auto one = [](const std::vector<uint64_t>& extents, uint32_t type, uint64_t offset) {
    return Draft().start(1, 0).tensor("x", extents, type, offset).data(64).bytes();
  };
  EXPECT_NO_THROW(parse_gguf_header(one({16}, 0, 0), "f"));
  EXPECT_NO_THROW(parse_gguf_header(one({}, 0, 32), "f"));
  expect_refused(one({17}, 0, 0), "the file ends inside tensor \"x\"");
  expect_refused(one({16}, 0, 32), "the file ends inside tensor \"x\"");
  expect_refused(one({4}, 0, 4), "multiple of 32");
  expect_refused(one({4}, 0, uint64_t{0} - 32), "the file ends inside");
  expect_refused(one({4}, 4, 0), "type number 4");
  expect_refused(one({4}, 1000, 0), "type number 1000");
  expect_refused(one({16}, 8, 0), "whole blocks of Q8_0");
  expect_refused(one({uint64_t{1} << 63}, 0, 0), "too large");
  expect_refused(one({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0), "overflow");
  expect_refused(one({1, 1, 1, 1, 1}, 0, 0), "more than 4");
  const auto two = [](const char* second, uint64_t offset) {
    return Draft()
        .start(2, 0)
        .tensor("x", {16}, 0, 0)
        .tensor(second, {8}, 0, offset)
        .data(128)
        .bytes();
  };
  EXPECT_NO_THROW(parse_gguf_header(two("y", 64), "f"));
  expect_refused(two("x", 64), "duplicate tensor \"x\"");
  expect_refused(two("y", 32), "lies over another");
  expect_refused(two("y", 0), "lies over another");
}

TEST(Gguf, TheWriterRefusesWhatDisagrees) {
  const std::vector<std::byte> data(64);
  const auto refused = [&](const GgufMetadata& metadata, std::vector<GgufTensor> tensors) {
    return message_of<InvalidArgument>([&] { format_gguf(metadata, tensors); });
  };
  const GgufType* type = gguf_type("F32");
  refused({}, {{"x", type, {15}, data}});
  refused({}, {{"x", type, {1, 1, 1, 1, 16}, data}});
  refused({}, {{"x", nullptr, {16}, data}});
  refused({}, {{"x", type, {16}, data}, {"x", type, {16}, data}});
  refused({{"general.alignment", GgufValue::uint32(64)}}, {});
  refused({{"k", {GgufKind::kUint8, uint64_t{256}}}}, {});
  refused({{"k", {GgufKind::kText, uint64_t{1}}}}, {});
}

}  // namespace
}  // namespace longwave::io
