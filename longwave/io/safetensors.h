// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/parameter.h"
#include "longwave/base/stored_tensor.h"
#include "longwave/base/tensor.h"
#include "longwave/io/file.h"
#include "longwave/io/stored_numbers.h"

namespace longwave::io {

/// Free text by key, kept in a file beside its tensors.
using Metadata = std::map<std::string, std::string>;

/// How a safetensors file becomes tensors.
struct SafetensorsOptions {
  using Float64 = io::Float64;
  using NotFinite = io::NotFinite;
  enum class Half : uint8_t { kWiden, kKeep };
  Float64 float64 = Float64::kNarrow;           ///< F64 becomes float32, or stays
  Half half = Half::kWiden;                     ///< F16 and BF16 become float32, or stay
  NotFinite not_finite = NotFinite::kAllow;     ///< whether NaN and infinities are an error
  uint64_t header_limit = uint64_t{100} << 20;  ///< bytes of JSON accepted, as the format says
};

/// One tensor as the header announces it; the offsets count from the end of the header.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;  ///< as written: "F32", "BF16", ...
  Shape shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// What a file holds, checked: shapes fit offsets, and the entries tile the data without hole,
/// overlap or trailing bytes.
struct SafetensorsHeader {
  Metadata metadata;
  std::vector<SafetensorsEntry> entries;  ///< in the order of their data
  uint64_t data_begin = 0;                ///< where in the file the data start
};

/// Named tensors and their metadata.
struct Safetensors {
  Metadata metadata;
  Weights weights;
};

/// Metadata key that says what the bytes of a tensor are.
inline std::string blocks_key(const std::string& name) { return "blocks." + name; }

/// Reads the header of a file in memory; `where` names it in messages.
///
/// Errors     DataError for anything that the format forbids: header size, JSON, nesting, duplicate
///            names, unknown types, extents that overflow, offsets out of range, overlapping or
///            with holes, missing or trailing bytes.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, std::string_view where,
                                           const SafetensorsOptions& options = {});

/// Reads a file in memory: F32, I64, I32, U8 and BOOL (as 0 and 1) as they are; F16, BF16 and F64
/// become float32 unless they are kept.
///
/// A tensor of blocks is U8 here, a row of bytes for each row of numbers, and the metadata name
/// its type: "blocks.NAME" = "q8_0". The format has no such types. NaN and infinities are looked
/// for in float32 and float64 alone.
///
/// Errors     DataError as above, for other element types, for blocks that are none, and on request
///            for NaN or infinity.
Safetensors parse_safetensors(std::span<const std::byte> file, std::string_view where,
                              const SafetensorsOptions& options = {});

/// Reads the tensors of a file one at a time, in their order there, and gives each to `take`; what
/// the map holds of the file is let go with each. Errors as above, or IoError.
void each_safetensors(const std::filesystem::path& path, const SafetensorsOptions& options,
                      const TakeTensor& take);

/// The same of a file in memory; returns its metadata.
Metadata each_safetensors(std::span<const std::byte> file, std::string_view where,
                          const SafetensorsOptions& options, const TakeTensor& take);

/// Reads a file through a memory map; IoError if it cannot be read, else as above.
Safetensors load_safetensors(const std::filesystem::path& path,
                             const SafetensorsOptions& options = {});

/// A file whose tensors are looked at where they lie, through a memory map: F32, F16 and BF16. What
/// is of another type, or not aligned to its numbers, is copied as `parse_safetensors` does.
///
/// Errors     as `load_safetensors`; numbers are not looked at.
/// Threads    const use is safe from many threads.
class MappedSafetensors {
 public:
  explicit MappedSafetensors(const std::filesystem::path& path);
  const StoredTensors& tensors() const { return tensors_; }

  /// Lets go of the memory that holds what was looked at.
  void forget() const { file_.forget(); }

 private:
  MappedFile file_;
  Weights copies_;
  StoredTensors tensors_;
};

/// Writes every tensor of the storage, whatever the scope, atomically and in order of names: equal
/// weights and metadata give equal bytes.
///
/// Errors     IoError if it cannot be written; InvalidArgument for complex tensors (store pairs),
/// for
///            a tensor called __metadata__ and for text that is not UTF-8.
void save_safetensors(const std::filesystem::path& path, const Weights& weights,
                      const Metadata& metadata = {});

/// The same bytes in memory.
std::vector<std::byte> format_safetensors(const Weights& weights, const Metadata& metadata = {});

}  // namespace longwave::io
