// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/base/philox.h"
#include "longwave/data/dataset.h"
#include "longwave/data/idx.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/gzip.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::data {
namespace {

using testing::message_of;
using testing::TemporaryFolder;
using Bytes = std::vector<std::byte>;

Bytes idx_bytes(const std::vector<uint32_t>& extents, const std::vector<uint8_t>& values) {
  Bytes bytes = {std::byte{0}, std::byte{0}, std::byte{8}, static_cast<std::byte>(extents.size())};
  for (uint32_t extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      bytes.push_back(static_cast<std::byte>(extent >> shift & 0xff));
    }
  }
  for (uint8_t value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

Bytes gzipped(const Bytes& bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes packed(deflateBound(&stream, bytes.size()) + 64);
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

TEST(Idx, ReadsWhatTheFormatSays) {
  const Bytes file = idx_bytes({2, 1, 3}, {1, 2, 3, 4, 5, 255});
  for (const Bytes& bytes : {file, gzipped(file)}) {
    const Idx idx = parse_idx(bytes, "memory");
    EXPECT_EQ(idx.extents, (std::vector<int64_t>{2, 1, 3}));
    EXPECT_EQ(idx.values, (std::vector<uint8_t>{1, 2, 3, 4, 5, 255}));
  }
  EXPECT_TRUE(parse_idx(idx_bytes({0}, {}), "memory").values.empty());
}

TEST(Idx, RejectsHostileFiles) {
  const Bytes good = idx_bytes({2, 3}, {1, 2, 3, 4, 5, 6});
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_THROW(static_cast<void>(parse_idx(std::span(good).first(size), "cut")), DataError);
  }
  Bytes trailing = good, wrong_type = good, no_rank = good, high_rank = good;
  trailing.push_back(std::byte{0});
  wrong_type[2] = std::byte{13};
  no_rank[3] = std::byte{0};
  high_rank[3] = std::byte{200};
  const Bytes huge = idx_bytes({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {});
  for (const Bytes& bytes : {trailing, wrong_type, no_rank, high_rank, huge}) {
    const std::string message =
        message_of<DataError>([&] { static_cast<void>(parse_idx(bytes, "hostile.idx")); });
    EXPECT_NE(message.find("hostile.idx"), std::string::npos) << message;
    EXPECT_NE(message.find("got:"), std::string::npos) << message;
  }
}

TEST(Gzip, RoundTripAndEveryDamageIsFound) {
  Bytes bytes(100000);
  Random random(3);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.integer(7));
  const Bytes packed = gzipped(bytes);
  EXPECT_EQ(io::gunzip(packed, bytes.size(), "memory"), bytes);
  EXPECT_THROW(static_cast<void>(io::gunzip(packed, bytes.size() - 1, "memory")), DataError);
  Bytes two = packed;
  two.insert(two.end(), packed.begin(), packed.end());
  EXPECT_EQ(io::gunzip(two, 2 * bytes.size(), "memory").size(), 2 * bytes.size());
  for (size_t size = 0; size < packed.size(); size += 1 + size / 50) {
    EXPECT_THROW(static_cast<void>(io::gunzip(std::span(packed).first(size), 1 << 20, "memory")),
                 DataError)
        << size;
  }
  Bytes damaged = packed;
  damaged[packed.size() / 2] ^= std::byte{0x40};
  EXPECT_THROW(static_cast<void>(io::gunzip(damaged, 1 << 20, "memory")), DataError);
  // A megabyte of zeros in about a kilobyte.
  EXPECT_THROW(static_cast<void>(io::gunzip(gzipped(Bytes(1 << 20)), 1000, "bomb")), DataError);
}

/// A folder in MNIST's form: 4 x 5 images, pixel p of training image i is (7 i + p) % 256.
class SmallImages {
 public:
  static constexpr int64_t kTrain = 60, kTest = 10, kPixels = 20;

  SmallImages() {
    write("train", kTrain);
    write("t10k", kTest);
  }

  std::unique_ptr<Dataset> open(const std::vector<std::string>& settings,
                                Split split = Split::kTrain) const {
    Options options(source("fashion_mnist").schema());
    options.set("path", folder_.path().string(), "test");
    options.set("validation", int64_t{10}, "test");
    for (const std::string& setting : settings) options.assign(setting, "test");
    return source("fashion_mnist").open(options, split, 1);
  }

  std::filesystem::path path(const std::string& name) const { return folder_ / name; }

 private:
  void write(const std::string& prefix, int64_t count) {
    std::vector<uint8_t> pixels, labels;
    for (int64_t i = 0; i < count; ++i) {
      labels.push_back(static_cast<uint8_t>(i % 10));
      for (int64_t p = 0; p < kPixels; ++p) pixels.push_back(static_cast<uint8_t>(7 * i + p));
    }
    const auto extent = static_cast<uint32_t>(count);
    io::write_file_atomically(path(prefix + "-images-idx3-ubyte"),
                              idx_bytes({extent, 4, 5}, pixels));
    io::write_file_atomically(path(prefix + "-labels-idx1-ubyte.gz"),
                              gzipped(idx_bytes({extent}, labels)));
  }

  TemporaryFolder folder_;
};

TEST(FashionMnist, PixelsComeInOrder) {
  const SmallImages images;
  const auto dataset = images.open({"validation=0"});
  ASSERT_EQ(dataset->size(), SmallImages::kTrain);
  EXPECT_EQ(dataset->info().length, SmallImages::kPixels);
  EXPECT_EQ(dataset->info().input_size, 1);
  for (int64_t i = 0; i < dataset->size(); ++i) {
    const Example example = dataset->example(i);
    EXPECT_EQ(example.label, std::vector<int64_t>{i % 10});
    for (int64_t p = 0; p < SmallImages::kPixels; ++p) {
      ASSERT_EQ(example.input[p], static_cast<float>((7 * i + p) % 256));
    }
  }
  const auto rows = images.open({"validation=0", "layout=rows"});
  EXPECT_EQ(rows->info().length, 4);
  EXPECT_EQ(rows->info().input_size, 5);
  EXPECT_EQ(rows->info().input_shift.size(), 5u);
  EXPECT_EQ(rows->example(3).input, dataset->example(3).input);
}

TEST(FashionMnist, SplitsTileTheTrainingImages) {
  const SmallImages images;
  std::set<float> first_pixels;
  int64_t count = 0;
  for (const Split split : {Split::kTrain, Split::kValidation}) {
    const auto dataset = images.open({}, split);
    count += dataset->size();
    for (int64_t i = 0; i < dataset->size(); ++i) {
      first_pixels.insert(dataset->example(i).input[0]);
    }
  }
  EXPECT_EQ(count, SmallImages::kTrain);
  EXPECT_EQ(images.open({}, Split::kValidation)->size(), 10);
  EXPECT_EQ(images.open({}, Split::kTest)->size(), SmallImages::kTest);
  std::set<float> all;
  for (int64_t i = 0; i < SmallImages::kTrain; ++i) all.insert(static_cast<float>(7 * i % 256));
  EXPECT_EQ(first_pixels, all);
}

TEST(FashionMnist, StandardisationIsThatOfTheTrainingSplit) {
  const SmallImages images;
  const auto dataset = images.open({});
  double sum = 0, squares = 0, count = 0;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    for (float pixel : dataset->example(i).input) {
      sum += pixel;
      squares += pixel * pixel;
      ++count;
    }
  }
  const double mean = sum / count;
  const float deviation = static_cast<float>(std::sqrt(squares / count - mean * mean));
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const TaskInfo info = images.open({}, split)->info();
    EXPECT_FLOAT_EQ(info.input_shift.at(0), static_cast<float>(mean));
    EXPECT_FLOAT_EQ(info.input_scale.at(0), deviation);
  }
}

TEST(FashionMnist, PermutationsRearrangeEveryImageAlike) {
  const SmallImages images;
  const auto plain = images.open({});
  const std::vector<std::string> kinds = {"permute=bit_reversal", "permute=random"};
  for (const std::string& kind : kinds) {
    const auto permuted = images.open({kind});
    const auto as_before = plain->example(0).input, as_now = permuted->example(0).input;
    std::vector<int64_t> order;
    for (float pixel : as_now) {
      order.push_back(std::ranges::find(as_before, pixel) - as_before.begin());
    }
    EXPECT_NE(as_before, as_now);
    for (int64_t i = 0; i < plain->size(); ++i) {
      const auto before = plain->example(i).input, now = permuted->example(i).input;
      for (size_t p = 0; p < order.size(); ++p) ASSERT_EQ(now[p], before[order[p]]);
    }
    if (kind == kinds[0]) {
      // 20 pixels are reversed as numbers of 5 bits, leaving out what is 20 or more.
      EXPECT_EQ(order, (std::vector<int64_t>{0, 16, 8, 4, 12, 2, 18, 10, 6, 14,
                                             1, 17, 9, 5, 13, 3, 19, 11, 7, 15}));
    }
  }
  EXPECT_NE(images.open({"permute=random"})->example(0).input,
            images.open({"permute=random", "permute_seed=2"})->example(0).input);
  EXPECT_EQ(images.open({"permute=random"}, Split::kTest)->example(0).input,
            images.open({"permute=random"}, Split::kTest)->example(0).input);
}

TEST(FashionMnist, ReportsWhatIsWrong) {
  const SmallImages images;
  EXPECT_THROW(images.open({"validation=60"}), ConfigError);
  EXPECT_THROW(images.open({"layout=rows", "permute=random"}), ConfigError);
  const std::string missing =
      message_of<IoError>([&] { static_cast<void>(images.open({"path=/nowhere"})); });
  EXPECT_NE(missing.find("apt-get install dataset-fashion-mnist"), std::string::npos) << missing;
  io::write_file_atomically(images.path("t10k-images-idx3-ubyte"),
                            idx_bytes({9, 4, 5}, std::vector<uint8_t>(180)));
  const std::string counts =
      message_of<DataError>([&] { static_cast<void>(images.open({}, Split::kTest)); });
  EXPECT_NE(counts.find("one label an image"), std::string::npos) << counts;
  io::write_file_atomically(images.path("train-labels-idx1-ubyte.gz"),
                            idx_bytes({60}, std::vector<uint8_t>(60, 10)));
  const std::string label = message_of<DataError>([&] { static_cast<void>(images.open({})); });
  EXPECT_NE(label.find("labels must be 0 to 9"), std::string::npos) << label;
}

TEST(FashionMnist, DebianPackageHasItsPublishedSizes) {
  const Options options(source("fashion_mnist").schema());
  std::error_code ignored;
  if (!std::filesystem::exists(options.text("path"), ignored)) {
    GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  }
  const auto test = source("fashion_mnist").open(options, Split::kTest, 1);
  EXPECT_EQ(test->size(), 10000);
  EXPECT_EQ(test->info().length, 784);
  std::vector<int64_t> counts(10);
  for (int64_t i = 0; i < test->size(); ++i) ++counts[test->example(i).label[0]];
  EXPECT_EQ(counts, std::vector<int64_t>(10, 1000));
  const auto train = source("fashion_mnist").open(options, Split::kTrain, 1);
  EXPECT_EQ(train->size(), 55000);
  EXPECT_NEAR(train->info().input_shift.at(0), 72.9, 0.5);
  EXPECT_NEAR(train->info().input_scale.at(0), 90.0, 0.5);
}

}  // namespace
}  // namespace longwave::data
