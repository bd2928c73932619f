// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace longwave::data {

/// An array of bytes as the IDX files of MNIST hold it.
struct Idx {
  std::vector<int64_t> extents;  ///< (images), or (images, rows, columns)
  std::vector<uint8_t> values;   ///< in row-major order
};

/// Reads an IDX file in memory, plain or gzipped; `where` names it in messages.
///
///   0 0 type rank | rank extents, 4 bytes each, big-endian | values
///
/// Source     Y. LeCun's description of the MNIST files.
/// Errors     DataError for a wrong magic number, an element type other than unsigned byte, a rank
///            outside 1..4, missing or trailing bytes, and a damaged gzip.
Idx parse_idx(std::span<const std::byte> file, std::string_view where);

/// Reads the file, or the one with ".gz" added; IoError if there is neither, else as above.
Idx load_idx(const std::filesystem::path& path);

}  // namespace longwave::data
