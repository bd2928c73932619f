// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace longwave::data {

/// The sound of a WAV file in memory, not yet decoded: a view of the file's bytes.
struct WavFile {
  enum class Encoding : uint8_t { kInteger, kFloat };
  Encoding encoding = Encoding::kInteger;
  int64_t rate = 0;      ///< frames a second
  int64_t channels = 0;  ///< samples a frame
  int64_t bits = 0;      ///< 8, 16, 24 or 32 for integers, 32 or 64 for floats
  int64_t frames = 0;
  std::span<const std::byte> samples;  ///< (frames, channels), little-endian
};

/// Finds format and samples of a RIFF WAVE file; `where` names it in messages.
///
/// Integer PCM of 8, 16, 24 and 32 bits, floats of 32 and 64 bits, plain or in the extensible form.
///
/// Errors     DataError with the byte where a chunk is missing, cut short or contradicts itself.
WavFile parse_wav(std::span<const std::byte> file, std::string_view where);

/// Frames [begin, begin + count) as one channel, the mean of all: full scale is 1.
///
/// Errors     DataError if a float is not finite; InvalidArgument outside the file.
std::vector<float> decode_wav(const WavFile& wav, int64_t begin, int64_t count,
                              std::string_view where);

}  // namespace longwave::data
