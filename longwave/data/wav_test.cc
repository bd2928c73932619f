// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/data/dataset.h"
#include "longwave/data/wav_file.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/testing/temporary_folder.h"

namespace longwave::data {
namespace {

using testing::message_of;
using testing::TemporaryFolder;
using Bytes = std::vector<std::byte>;

void append(Bytes& bytes, const void* data, size_t count) {
  const auto* begin = static_cast<const std::byte*>(data);
  bytes.insert(bytes.end(), begin, begin + count);
}

template <typename T>
void append(Bytes& bytes, T value) {
  append(bytes, &value, sizeof value);
}

struct Form {
  uint16_t kind = 1, channels = 1, bits = 16;
  uint32_t rate = 8000;
  bool extensible = false;
};

Bytes wav_bytes(const Form& form, const Bytes& samples) {
  Bytes bytes;
  append(bytes, "RIFF", 4);
  append<uint32_t>(bytes, 0);
  append(bytes, "WAVE", 4);
  // A chunk of odd size before the format, with its padding byte.
  append(bytes, "LIST", 4);
  append<uint32_t>(bytes, 3);
  append(bytes, "abc\0", 4);
  append(bytes, "fmt ", 4);
  append<uint32_t>(bytes, form.extensible ? 40 : 16);
  append<uint16_t>(bytes, form.extensible ? 0xfffe : form.kind);
  append<uint16_t>(bytes, form.channels);
  append<uint32_t>(bytes, form.rate);
  append<uint32_t>(bytes, form.rate * form.channels * form.bits / 8);
  append<uint16_t>(bytes, static_cast<uint16_t>(form.channels * form.bits / 8));
  append<uint16_t>(bytes, form.bits);
  if (form.extensible) {
    append<uint64_t>(bytes, 0);
    append<uint16_t>(bytes, form.kind);
    bytes.resize(bytes.size() + 14);
  }
  append(bytes, "data", 4);
  append<uint32_t>(bytes, static_cast<uint32_t>(samples.size()));
  append(bytes, samples.data(), samples.size());
  return bytes;
}

template <typename T>
Bytes samples_of(const std::vector<T>& values) {
  Bytes bytes;
  append(bytes, values.data(), values.size() * sizeof(T));
  return bytes;
}

std::vector<float> decoded(const Bytes& file) {
  const WavFile wav = parse_wav(file, "memory");
  return decode_wav(wav, 0, wav.frames, "memory");
}

TEST(Wav, EveryEncodingGivesTheSameSound) {
  const std::vector<float> expected = {0, 0.5, -0.5, -1};
  const std::vector<float> as_float = expected;
  const std::vector<double> as_double(expected.begin(), expected.end());
  Bytes as_24;
  for (uint32_t value : {0x000000u, 0x400000u, 0xc00000u, 0x800000u}) append(as_24, &value, 3);
  for (const bool extensible : {false, true}) {
    const auto form = [extensible](uint16_t kind, uint16_t bits) {
      return Form{.kind = kind, .bits = bits, .extensible = extensible};
    };
    EXPECT_EQ(decoded(wav_bytes(form(1, 8), samples_of<uint8_t>({128, 192, 64, 0}))), expected);
    EXPECT_EQ(decoded(wav_bytes(form(1, 16), samples_of<int16_t>({0, 16384, -16384, -32768}))),
              expected);
    EXPECT_EQ(decoded(wav_bytes(form(1, 24), as_24)), expected);
    EXPECT_EQ(
        decoded(wav_bytes(form(1, 32), samples_of<int32_t>({0, 1 << 30, -(1 << 30), INT32_MIN}))),
        expected);
    EXPECT_EQ(decoded(wav_bytes(form(3, 32), samples_of(as_float))), expected);
    EXPECT_EQ(decoded(wav_bytes(form(3, 64), samples_of(as_double))), expected);
  }
}

TEST(Wav, ChannelsAreAveraged) {
  const Bytes file = wav_bytes({.channels = 2}, samples_of<int16_t>({16384, 0, -16384, -16384}));
  EXPECT_EQ(decoded(file), (std::vector<float>{0.25, -0.5}));
  const WavFile wav = parse_wav(file, "memory");
  EXPECT_EQ(decode_wav(wav, 1, 1, "memory"), std::vector<float>{-0.5});
  EXPECT_TRUE(decode_wav(wav, 2, 0, "memory").empty());
  EXPECT_THROW(static_cast<void>(decode_wav(wav, 1, 2, "memory")), InvalidArgument);
}

TEST(Wav, RejectsHostileFiles) {
  const Bytes samples = samples_of<int16_t>({1, 2, 3, 4});
  const Bytes good = wav_bytes({}, samples);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_THROW(static_cast<void>(parse_wav(std::span(good).first(size), "cut")), DataError);
  }
  Bytes no_riff = good, no_data = good, huge_chunk = good, no_format = good;
  no_riff[0] = std::byte{'X'};
  no_data[good.size() - 16] = std::byte{'x'};
  std::memset(huge_chunk.data() + good.size() - 12, 0xff, 4);
  no_format[24] = std::byte{'x'};
  const std::vector<float> not_finite = {0, std::nanf("")};
  const std::vector<Bytes> files = {no_riff,
                                    no_data,
                                    huge_chunk,
                                    no_format,
                                    wav_bytes({.kind = 2}, samples),
                                    wav_bytes({.kind = 3}, samples),
                                    wav_bytes({.channels = 0}, samples),
                                    wav_bytes({.channels = 300}, samples),
                                    wav_bytes({.bits = 12}, samples),
                                    wav_bytes({.bits = 0}, samples),
                                    wav_bytes({.rate = 0}, samples),
                                    wav_bytes({}, {}),
                                    wav_bytes({.bits = 24}, samples),
                                    wav_bytes({.kind = 3, .bits = 32}, samples_of(not_finite))};
  for (size_t i = 0; i < files.size(); ++i) {
    SCOPED_TRACE(i);
    const std::string message = message_of<DataError>([&] {
      const WavFile wav = parse_wav(files[i], "h.wav");
      static_cast<void>(decode_wav(wav, 0, wav.frames, "h.wav"));
    });
    EXPECT_NE(message.find("h.wav"), std::string::npos) << message;
  }
}

/// Two classes of twenty files each, whose samples count up from 100 times the file's number.
class SmallSounds {
 public:
  static constexpr int kFiles = 20;

  SmallSounds() {
    std::filesystem::create_directory(folder_ / "_noise_");
    write("_noise_/x.wav", 0, 5, 11025);
    for (const std::string name : {"no", "yes"}) {
      std::filesystem::create_directory(folder_ / name);
      for (int i = 0; i < kFiles; ++i) {
        write(name + "/" + std::to_string(i) + ".WAV", 100 * i, 10 + i, 8000);
      }
    }
    io::write_file_atomically(folder_ / "no" / "readme.txt", "not a sound");
  }

  void write(const std::string& name, int first, int count, uint32_t rate) const {
    std::vector<int16_t> values;
    for (int i = 0; i < count; ++i) values.push_back(static_cast<int16_t>(first + i));
    io::write_file_atomically(folder_ / name, wav_bytes({.rate = rate}, samples_of(values)));
  }

  std::filesystem::path path(const std::string& name) const { return folder_ / name; }

  std::unique_ptr<Dataset> open(const std::vector<std::string>& settings,
                                Split split = Split::kTrain) const {
    Options options(source("wav").schema());
    options.set("path", folder_.path().string(), "test");
    for (const std::string& setting : settings) options.assign(setting, "test");
    return source("wav").open(options, split, 1);
  }

 private:
  TemporaryFolder folder_;
};

TEST(Wav, ClassesAreSubfoldersAndSplitsTileTheFiles) {
  const SmallSounds sounds;
  std::set<std::pair<int64_t, float>> seen;
  const std::vector<int64_t> sizes = {32, 4, 4};
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    const auto dataset = sounds.open({}, split);
    EXPECT_EQ(dataset->info().target_size, 2);
    EXPECT_EQ(dataset->info().input_shift, sounds.open({})->info().input_shift);
    ASSERT_EQ(dataset->size(), sizes[static_cast<size_t>(split)]);
    for (int64_t i = 0; i < dataset->size(); ++i) {
      const Example example = dataset->example(i);
      seen.emplace(example.label.at(0), example.input[0]);
      const float file = example.input[0] * 32768 / 100;
      EXPECT_EQ(example.input.size(), 10 + static_cast<size_t>(std::lround(file)));
    }
  }
  EXPECT_EQ(seen.size(), 2u * SmallSounds::kFiles);
  EXPECT_EQ(sounds.open({"length=12"})->info().length, 12);
  EXPECT_LE(sounds.open({"length=12"})->example(0).input.size(), 12u);
}

TEST(Wav, NextSampleWindowsCoverEveryFile) {
  const SmallSounds sounds;
  for (const int64_t length : {0, 1, 4, 9, 100}) {
    SCOPED_TRACE(length);
    std::set<float> asked;
    int64_t steps = 0;
    for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
      const auto dataset = sounds.open({"task=next_value", "length=" + std::to_string(length),
                                        "path=" + sounds.path("no").string()},
                                       split);
      EXPECT_EQ(dataset->info().target_scale, dataset->info().input_scale);
      for (int64_t i = 0; i < dataset->size(); ++i) {
        const Example example = dataset->example(i);
        ASSERT_EQ(example.input.size(), example.value.size());
        ASSERT_FALSE(example.input.empty());
        EXPECT_LE(example.input.size(), static_cast<size_t>(dataset->info().length));
        if (length > 0) {
          EXPECT_LE(example.input.size(), static_cast<size_t>(length));
        }
        for (size_t t = 0; t < example.input.size(); ++t) {
          EXPECT_EQ(example.value[t], example.input[t] + 1.0f / 32768);
          asked.insert(example.value[t]);
          ++steps;
        }
      }
    }
    int64_t expected = 0;
    for (int i = 0; i < SmallSounds::kFiles; ++i) expected += 10 + i - 1;
    EXPECT_EQ(steps, expected);
    EXPECT_EQ(asked.size(), static_cast<size_t>(expected));
  }
}

TEST(Wav, LevelsAreThoseOfMuLaw) {
  const SmallSounds sounds;
  const auto values = sounds.open({"task=next_value", "path=" + sounds.path("yes").string()});
  const auto levels = sounds.open({"task=next_level", "path=" + sounds.path("yes").string()});
  EXPECT_EQ(levels->info().input_size, 256);
  EXPECT_EQ(levels->info().target_size, 256);
  ASSERT_EQ(levels->size(), values->size());
  for (int64_t i = 0; i < levels->size(); ++i) {
    const Example coarse = levels->example(i), fine = values->example(i);
    ASSERT_EQ(coarse.tokens.size(), fine.input.size());
    for (size_t t = 0; t < coarse.tokens.size(); ++t) {
      // The inverse of the law, at the level's middle, is within half a level of the sample.
      const double squeezed = 2.0 * static_cast<double>(coarse.tokens[t]) / 255 - 1;
      const double restored =
          std::copysign(std::expm1(std::abs(squeezed) * std::log(256.0)) / 255, squeezed);
      const double slope = std::log(256.0) * (1 + 255 * std::abs(restored)) / 255;
      EXPECT_NEAR(fine.input[t], restored, slope / 255 * 1.1);
      if (t > 0) {
        EXPECT_EQ(coarse.tokens[t], coarse.label[t - 1]);
      }
    }
  }
}

TEST(Wav, RejectsFoldersThatMakeNoSense) {
  const SmallSounds sounds;
  EXPECT_THROW(sounds.open({"path="}), ConfigError);
  EXPECT_THROW(sounds.open({"train=0"}), ConfigError);
  EXPECT_THROW(sounds.open({"path=/nowhere"}), IoError);
  EXPECT_THROW(sounds.open({"path=" + sounds.path("no").string()}), DataError);
  const std::string rate =
      message_of<DataError>([&] { static_cast<void>(sounds.open({"rate=16000"})); });
  EXPECT_NE(rate.find("16000 Hz"), std::string::npos) << rate;
  EXPECT_NE(rate.find("8000 Hz"), std::string::npos) << rate;
  EXPECT_THROW(sounds.open({"task=next_value"}), DataError) << "_noise_ has another rate";
}

}  // namespace
}  // namespace longwave::data
