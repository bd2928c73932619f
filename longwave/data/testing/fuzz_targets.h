// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "longwave/base/error.h"
#include "longwave/data/csv_table.h"
#include "longwave/data/idx.h"
#include "longwave/data/wav_file.h"
#include "longwave/io/testing/fuzz.h"

namespace longwave::testing {

/// Bytes are refused with DataError, or hold as many values as their extents say.
inline void fuzz_idx(std::span<const std::byte> bytes) {
  try {
    const data::Idx idx = data::parse_idx(bytes, "fuzz");
    uint64_t count = 1;
    for (int64_t extent : idx.extents) count *= static_cast<uint64_t>(extent);
    must_hold(count == idx.values.size(), "extents and values agree");
  } catch (const DataError&) {
  }
}

inline std::vector<Bytes> idx_seeds() {
  using namespace std::string_literals;
  return {bytes_of("\0\0\x08\x01\0\0\0\x03"s
                   "abc"s),
          bytes_of("\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02"s
                   "abcd"s)};
}

/// A text is refused with DataError, or becomes a full table of finite numbers.
inline void fuzz_csv(std::span<const std::byte> bytes) {
  for (const data::CsvFormat::Missing missing :
       {data::CsvFormat::Missing::kRefuse, data::CsvFormat::Missing::kPrevious}) {
    try {
      const data::CsvTable table = data::parse_csv(bytes, "fuzz", {.missing = missing});
      must_hold(table.rows > 0, "a table has rows");
      must_hold(table.values.size() == table.names.size() * static_cast<size_t>(table.rows),
                "every row is full");
      must_hold(std::ranges::all_of(table.values, [](float x) { return std::isfinite(x); }),
                "every number is finite");
    } catch (const DataError&) {
    }
  }
}

inline std::vector<Bytes> csv_seeds() {
  return {bytes_of("a,b\n1,2\n3,4\n"), bytes_of("\xef\xbb\xbf\"x \"\"y\"\"\",z\r\n+1e3,\r\nNA,-.5"),
          bytes_of("t\n1\n\n2\n")};
}

/// Bytes are refused with DataError, or decode to finite samples.
inline void fuzz_wav(std::span<const std::byte> bytes) {
  try {
    const data::WavFile wav = data::parse_wav(bytes, "fuzz");
    must_hold(wav.frames > 0 && wav.rate > 0, "a sound has frames and a rate");
    const auto samples = data::decode_wav(wav, 0, wav.frames, "fuzz");
    must_hold(std::ranges::all_of(samples, [](float x) { return std::isfinite(x); }),
              "every sample is finite");
  } catch (const DataError&) {
  }
}

inline std::vector<Bytes> wav_seeds() {
  using namespace std::string_literals;
  const std::string riff = "RIFF\0\0\0\0WAVE"s;
  const std::string pcm = "fmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0"s;
  const std::string real = "fmt \x10\0\0\0\x03\0\x02\0\x40\x1f\0\0\0\xfa\0\0\x08\0\x20\0"s;
  return {bytes_of(riff + pcm + "data\x04\0\0\0abcd"s),
          bytes_of(riff + "LIST\x03\0\0\0abc\0"s + real + "data\x08\0\0\0\0\0\x80\x3f\0\0\0\xbf"s)};
}

}  // namespace longwave::testing
