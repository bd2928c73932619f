// SPDX-License-Identifier: Apache-2.0
#include "longwave/io/torch_pickle.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/io/file.h"
#include "longwave/io/safetensors.h"
#include "longwave/io/testing/temporary_folder.h"
#include "longwave/io/testing/zip_draft.h"

namespace longwave::io {
namespace {

using testing::message_of;
using testing::tensor_pickle;
using testing::torch_archive;
using testing::ZipDraft;

const std::filesystem::path kFixtures = LONGWAVE_SOURCE_DIR "/tests/fixtures/torch";

void expect_refused(const std::vector<std::byte>& file, const std::string& part) {
  const std::string message = message_of<DataError>([&] { parse_torch_pickle(file, "f.bin"); });
  EXPECT_NE(message.find(part), std::string::npos) << message;
}
void expect_refused(const std::string& pickle, const std::string& part) {
  expect_refused(torch_archive(pickle).bytes(), part);
}

TEST(TorchPickle, TensorsAndViewsAreThoseOfTorch) {
  const Weights expected = load_safetensors(kFixtures / "expected.safetensors").weights;
  for (const char* name : {"tensors.bin", "protocol4.bin"}) {
    const Weights got = load_torch_pickle(kFixtures / name);
    ASSERT_EQ(got.all().size(), expected.all().size());
    for (const auto& [key, tensor] : expected.all()) {
      const Tensor& other = got.all().at(key);
      EXPECT_EQ(other.dtype(), tensor.dtype()) << key;
      ASSERT_EQ(other.shape(), tensor.shape()) << key;
      EXPECT_EQ(std::memcmp(other.raw(), tensor.raw(), tensor.bytes()), 0) << key;
    }
  }
}

TEST(TorchPickle, AStateDictIsRead) {
  const Weights weights = load_torch_pickle(kFixtures / "state_dict.bin");
  EXPECT_EQ(weights.all().size(), 7u);
  EXPECT_EQ(weights.all().at("0.weight").shape(), (Shape{2, 3}));
  EXPECT_EQ(weights.all().at("1.num_batches_tracked").dtype(), DType::kInt64);
}

TEST(TorchPickle, CallsAreRefusedByNameAndNotMade) {
  const std::string message =
      message_of<DataError>([] { load_torch_pickle(kFixtures / "calls.bin"); });
  EXPECT_NE(message.find("posix.system"), std::string::npos) << message;
  for (const char* name : {"os\nsystem", "builtins\neval", "__builtin__\nexec",
                           "torch._utils\n_rebuild_tensor", "numpy.core.multiarray\nscalar"}) {
    std::string dotted = name;
    dotted[dotted.find('\n')] = '.';
    expect_refused(std::string("\x80\x02") + "c" + name + "\n)R.", "\"" + dotted + "\"");
  }
  expect_refused(std::string("\x80\x04\x8c\x02os\x8c\x06system\x93)R."), "\"os.system\"");
}

TEST(TorchPickle, OtherThingsAreRefused) {
  expect_refused(read_file(kFixtures / "nested.bin", 1 << 20), "entry \"model\" is no tensor");
  expect_refused(read_file(kFixtures / "old_form.bin", 1 << 20), "before 1.6");
  expect_refused(std::vector<std::byte>(100), "no directory");
  expect_refused(std::vector<std::byte>(), "no directory");
}

TEST(TorchPickle, EveryTruncationIsRefused) {
  const auto whole = read_file(kFixtures / "tensors.bin", 1 << 20);
  for (size_t size = 0; size < whole.size(); size += 13) {
    EXPECT_THROW(parse_torch_pickle(std::span(whole).first(size), "cut"), DataError) << size;
  }
}

TEST(TorchPickle, ByHandItIsSound) {
  for (const bool wide : {false, true}) {
    ZipDraft draft = torch_archive(tensor_pickle());
    draft.wide = wide;
    const Weights weights = parse_torch_pickle(draft.bytes(), "f.bin");
    EXPECT_EQ(weights.get("w", {2, 3})[5], 5.0F);
    EXPECT_EQ(weights.get("t", {3, 2})[1], 3.0F);
  }
}

std::string changed(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST(TorchPickle, ViewsMustLieInTheirStorage) {
  const std::string good = tensor_pickle();
  const std::string extents = std::string("K\x02K\x03\x86");
  expect_refused(changed(good, extents, std::string("K\x02K\x04\x86")), "does not fit");
  expect_refused(changed(good, extents, std::string("K\x02J\xff\xff\xff\xff\x86")), "from 0 on");
  expect_refused(changed(good, extents, std::string("K\x02K\x03K\x01\x87")), "not torch's");
  // Extents of 2^44 whose product overflows, and such strides.
  const std::string big = "\x8a\x06" + std::string(5, '\0') + "\x10";
  expect_refused(changed(good, extents, big + big + "\x86"), "overflow");
  expect_refused(changed(good, "K\x03K\x01\x86", big + big + "\x86"), "does not fit");
  // A stride of 0 that repeats one number 200 times.
  expect_refused(changed(changed(good, extents, std::string("K\xc8\x85")), "K\x03K\x01\x86",
                         std::string("K\0\x85", 3)),
                 "does not fit");
  expect_refused(changed(good, "K\x06tQ", "K\x07tQ"), "cut off");
  expect_refused(changed(good, "FloatStorage", "CharStorage"), "torch.CharStorage");
  expect_refused(changed(good, "FloatStorage", "DoubleStorage"), "cut off");
}

TEST(TorchPickle, StrangePicklesAreRefused) {
  const std::string start = "\x80\x02";
  expect_refused("", "before its end");
  expect_refused(start + ".", "empty stack");
  expect_refused(start + "K\x01.", "wrong kind");
  expect_refused(start + "}K\x01K\x01s.", "no text");
  expect_refused(start + "}(K\x01u.", "without a value");
  expect_refused(start + "}u.", "lacks a mark");
  expect_refused(start + "h\x05.", "never kept");
  expect_refused(start + "}(0.", "empty stack");
  expect_refused(start + "]K\x01s.", "empty stack");
  expect_refused(start + ")K\x01" + "a.", "has none");
  expect_refused(start + "\x8a\x09" + std::string(9, '\x7f') + ".", "beyond 64 bits");
  expect_refused(start + "(ios\nsystem\n.", "number 105");
  expect_refused(start + "ctorch\nFloatStorage\n)R.", "calls a class");
  expect_refused(start + "ctorch\nFloatStorage\n}b.", "attributes");
  expect_refused(start + "]q\x01h\x01" + "ah\x01.", "wrong kind");  // a list that holds itself
  expect_refused(std::string("\x80\x09}."), "protocol");
  expect_refused(start + "X\xff\xff\xff\xff" + "a.", "ends inside");
  std::string many = start;
  many.append(size_t{2} << 20, ')');
  expect_refused(many + ".", "too many objects");
}

TEST(TorchPickle, DuplicateNamesAreRefused) {
  const std::string good = tensor_pickle();
  const std::string t = std::string("X\x01\0\0\0t", 6), w = std::string("X\x01\0\0\0w", 6);
  expect_refused(changed(good, t, w), "duplicate name \"w\"");
}

TEST(TorchPickle, StrangeArchivesAreRefused) {
  const ZipDraft good = torch_archive(tensor_pickle());
  const auto with = [&](auto change) {
    ZipDraft draft = good;
    change(draft);
    return draft.bytes();
  };
  expect_refused(with([](ZipDraft& d) { d.files[2].method = 8; }), "compressed");
  expect_refused(with([](ZipDraft& d) { d.files[2].flags = 1; }), "encrypted");
  expect_refused(with([](ZipDraft& d) { d.files[2].crc_change = 1; }), "check sum");
  expect_refused(with([](ZipDraft& d) { d.files[0].crc_change = 1; }), "check sum");
  expect_refused(with([](ZipDraft& d) { d.files[1].content = "big"; }), "little-endian");
  expect_refused(with([](ZipDraft& d) { d.files.push_back(d.files[1]); }), "there twice");
  expect_refused(with([](ZipDraft& d) { d.files.erase(d.files.begin()); }), "no data.pkl");
  expect_refused(with([](ZipDraft& d) { d.files.pop_back(); }), "lacks the file \"a/data/0\"");
  expect_refused(with([](ZipDraft& d) { d.files.push_back({"b/data.pkl", "."}); }), "several");
  const auto poked = [&](uint64_t from_end, std::byte value) {
    std::vector<std::byte> file = good.bytes();
    file[file.size() - from_end] = value;
    return file;
  };
  expect_refused(poked(12, std::byte{200}), "directory");  // number of files
  expect_refused(poked(6, std::byte{1}), "directory");     // place of the directory
  expect_refused(poked(7, std::byte{255}), "directory");
}

TEST(TorchPickle, NotFiniteIsFoundOnRequest) {
  ZipDraft draft = torch_archive(tensor_pickle());
  draft.files[2].content[6] = '\xc0', draft.files[2].content[7] = '\x7f';
  EXPECT_NO_THROW(parse_torch_pickle(draft.bytes(), "f.bin"));
  EXPECT_THROW(parse_torch_pickle(draft.bytes(), "f.bin", {.not_finite = NotFinite::kReject}),
               DataError);
}

}  // namespace
}  // namespace longwave::io
