// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/wav_file.h"

#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "longwave/base/error.h"

namespace longwave::data {
namespace {

constexpr size_t kRiffBytes = 12, kChunkBytes = 8, kFormatBytes = 16, kExtensibleBytes = 40;

[[noreturn]] void reject(std::string_view where, std::string what, std::string got) {
  throw DataError({.where = std::string(where),
                   .what = "not a WAV file that can be read: " + std::move(what),
                   .got = std::move(got),
                   .fix = "convert it to PCM of 16 bits"});
}

uint64_t little_endian(std::span<const std::byte> bytes, size_t at, size_t count) {
  uint64_t number = 0;
  for (size_t i = count; i-- > 0;) {
    number = number << 8 | std::to_integer<uint64_t>(bytes[at + i]);
  }
  return number;
}

bool has_tag(std::span<const std::byte> bytes, size_t at, std::string_view tag) {
  return std::memcmp(bytes.data() + at, tag.data(), tag.size()) == 0;
}

/// Reads the "fmt " chunk that starts at byte `at`.
WavFile read_format(std::span<const std::byte> chunk, size_t at, std::string_view where) {
  constexpr uint64_t kInteger = 1, kFloat = 3, kExtensible = 0xfffe;
  constexpr int64_t kMostChannels = 256;
  const std::string place = " at byte " + std::to_string(at);
  if (chunk.size() < kFormatBytes) {
    reject(where, "the format needs 16 bytes", std::to_string(chunk.size()) + place);
  }
  uint64_t kind = little_endian(chunk, 0, 2);
  if (kind == kExtensible && chunk.size() >= kExtensibleBytes) kind = little_endian(chunk, 24, 2);
  WavFile wav;
  wav.encoding = kind == kFloat ? WavFile::Encoding::kFloat : WavFile::Encoding::kInteger;
  wav.channels = static_cast<int64_t>(little_endian(chunk, 2, 2));
  wav.rate = static_cast<int64_t>(little_endian(chunk, 4, 4));
  wav.bits = static_cast<int64_t>(little_endian(chunk, 14, 2));
  const auto align = static_cast<int64_t>(little_endian(chunk, 12, 2));
  const bool integer =
      kind == kInteger && (wav.bits == 8 || wav.bits == 16 || wav.bits == 24 || wav.bits == 32);
  const bool real = kind == kFloat && (wav.bits == 32 || wav.bits == 64);
  if (!integer && !real) {
    reject(where, "it must hold integers of 8, 16, 24 or 32 bits, or floats of 32 or 64",
           "format " + std::to_string(kind) + " of " + std::to_string(wav.bits) + " bits" + place);
  }
  if (wav.channels < 1 || wav.channels > kMostChannels || wav.rate < 1 ||
      align != wav.channels * wav.bits / 8) {
    reject(where, "channels, rate or frame size make no sense",
           std::to_string(wav.channels) + " channels, " + std::to_string(wav.rate) + " Hz, " +
               std::to_string(align) + " bytes a frame" + place);
  }
  return wav;
}

/// One sample; full scale is 1.
double sample_at(const WavFile& wav, size_t at) {
  constexpr int kWidest = 32;
  if (wav.encoding == WavFile::Encoding::kFloat) {
    if (wav.bits == 64) {
      double value = 0;
      std::memcpy(&value, wav.samples.data() + at, sizeof value);
      return value;
    }
    float value = 0;
    std::memcpy(&value, wav.samples.data() + at, sizeof value);
    return value;
  }
  if (wav.bits == 8) return (std::to_integer<int>(wav.samples[at]) - 128) / 128.0;
  const auto bytes = static_cast<size_t>(wav.bits / 8);
  const auto bits = static_cast<uint32_t>(little_endian(wav.samples, at, bytes));
  // Shifted to the top of 32 bits, so that the sign stands where it belongs.
  const auto value = static_cast<int32_t>(bits << (kWidest - wav.bits));
  return std::ldexp(static_cast<double>(value), 1 - kWidest);
}

}  // namespace

WavFile parse_wav(std::span<const std::byte> file, std::string_view where) {
  if (file.size() < kRiffBytes || !has_tag(file, 0, "RIFF") || !has_tag(file, 8, "WAVE")) {
    reject(where, "it must begin with RIFF and WAVE", std::to_string(file.size()) + " bytes");
  }
  std::optional<WavFile> wav;
  for (size_t at = kRiffBytes; at + kChunkBytes <= file.size();) {
    const uint64_t size = little_endian(file, at + 4, 4);
    const size_t begin = at + kChunkBytes;
    const bool is_samples = has_tag(file, at, "data"), is_format = has_tag(file, at, "fmt ");
    if (size > file.size() - begin && (is_samples || is_format)) {
      reject(where, "a chunk of " + std::to_string(size) + " bytes is cut short",
             std::to_string(file.size() - begin) + " after byte " + std::to_string(begin));
    }
    if (is_format) wav = read_format(file.subspan(begin, size), begin, where);
    if (is_samples) {
      if (!wav) reject(where, "the samples come before their format", "byte " + std::to_string(at));
      const auto frame = static_cast<uint64_t>(wav->channels * wav->bits / 8);
      if (size == 0 || size % frame != 0) {
        reject(where,
               "it must hold whole frames of " + std::to_string(frame) + " bytes, at least one",
               std::to_string(size) + " bytes at byte " + std::to_string(begin));
      }
      wav->frames = static_cast<int64_t>(size / frame);
      wav->samples = file.subspan(begin, size);
      return *wav;
    }
    // Chunks start at even bytes; one that reaches past the end has nothing after it.
    if (size > file.size() - begin) break;
    at = begin + size + size % 2;
  }
  reject(where, "there are no samples in it", std::to_string(file.size()) + " bytes");
}

std::vector<float> decode_wav(const WavFile& wav, int64_t begin, int64_t count,
                              std::string_view where) {
  require(begin >= 0 && count >= 0 && begin <= wav.frames && count <= wav.frames - begin, "wav",
          "the frames must lie in the file");
  const auto bytes = static_cast<size_t>(wav.bits / 8);
  std::vector<float> mono(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    double sum = 0;
    for (int64_t channel = 0; channel < wav.channels; ++channel) {
      sum += sample_at(wav, static_cast<size_t>((begin + i) * wav.channels + channel) * bytes);
    }
    mono[i] = static_cast<float>(sum / static_cast<double>(wav.channels));
    if (!std::isfinite(mono[i])) {
      reject(where, "a sample is not finite",
             std::to_string(mono[i]) + " in frame " + std::to_string(begin + i));
    }
  }
  return mono;
}

}  // namespace longwave::data
