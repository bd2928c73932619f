// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/philox.h"

/// What fuzz targets share: each parser has one function that feeds it bytes and some sound inputs
/// to start from. libFuzzer drives it in `*_fuzz.cc`, and the normal tests replay mutated seeds.
namespace longwave::testing {

using Bytes = std::vector<std::byte>;

inline Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// Ends the program, as a crash does, if a law of the parser is broken.
inline void must_hold(bool condition, const char* law) {
  if (condition) return;
  std::fprintf(stderr, "broken law: %s\n", law);
  std::abort();
}

/// With "--seeds=FOLDER" among the arguments, writes the seeds there and ends the program.
inline void write_seeds_if_asked(int argc, char** argv, const std::vector<Bytes>& seeds) {
  constexpr std::string_view kFlag = "--seeds=";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with(kFlag)) continue;
    const std::string folder(argument.substr(kFlag.size()));
    for (size_t n = 0; n < seeds.size(); ++n) {
      std::ofstream file(folder + "/seed" + std::to_string(n), std::ios::binary);
      file.write(reinterpret_cast<const char*>(seeds[n].data()),
                 static_cast<std::streamsize>(seeds[n].size()));
    }
    std::exit(0);
  }
}

/// One random change, of the kinds that break parsers: bits, lengths, cuts, repeats, digits.
inline void mutate(Bytes& bytes, Random& random) {
  const auto place = [&] {
    return static_cast<size_t>(random.integer(static_cast<int64_t>(bytes.size())));
  };
  if (bytes.empty()) {
    bytes.push_back(static_cast<std::byte>(random.integer(256)));
    return;
  }
  const size_t at = place();
  const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  switch (random.integer(6)) {
    case 0:
      bytes[at] ^= static_cast<std::byte>(1 << random.integer(8));
      return;
    case 1: {
      static constexpr std::string_view kTelling = "{}[]\",:.=-+019eE\n\r\\#\0\x7f\xff";
      bytes[at] = static_cast<std::byte>(
          kTelling[static_cast<size_t>(random.integer(static_cast<int64_t>(kTelling.size())))]);
      return;
    }
    case 2:
      bytes.resize(at);
      return;
    case 3: {
      const Bytes piece(from, from + std::min<std::ptrdiff_t>(64, bytes.end() - from));
      bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(place()), piece.begin(),
                   piece.end());
      return;
    }
    case 4: {
      const uint64_t number = uint64_t{0} - static_cast<uint64_t>(random.integer(3)) +
                              (uint64_t{1} << random.integer(64));
      std::memcpy(bytes.data() + at, &number, std::min(sizeof number, bytes.size() - at));
      return;
    }
    default:
      bytes.erase(from, from + std::min<std::ptrdiff_t>(1 + random.integer(8), bytes.end() - from));
  }
}

/// Feeds every seed and `rounds` mutations of each to the target; the same ones in every run.
inline void replay(const std::vector<Bytes>& seeds, int64_t rounds,
                   void (*target)(std::span<const std::byte>)) {
  for (size_t n = 0; n < seeds.size(); ++n) {
    target(seeds[n]);
    Random random(n, stream_id("fuzz"));
    for (int64_t round = 0; round < rounds; ++round) {
      Bytes bytes = seeds[n];
      const int64_t changes = 1 + random.integer(6);
      for (int64_t i = 0; i < changes; ++i) mutate(bytes, random);
      target(bytes);
    }
  }
}

}  // namespace longwave::testing
