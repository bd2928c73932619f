// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "longwave/io/atomic_file.h"
#include "longwave/io/gguf.h"

namespace longwave::io {

/// Writes a file whose tensors come one at a time, in any order, atomically: the bytes are those of
/// `save_gguf` with the tensors in the order in which they were announced.
///
/// Errors     as `save_gguf`; InvalidArgument for a tensor that was not announced so, and if one is
///            missing at the end.
/// Threads    one owner at a time.
class GgufWriter {
 public:
  GgufWriter(const std::filesystem::path& path, const GgufMetadata& metadata,
             std::span<const GgufItem> items);

  void write(const std::string& name, std::span<const std::byte> data);
  void commit();

 private:
  struct Place {
    uint64_t begin = 0;  // in the file
    uint64_t bytes = 0;
  };
  AtomicFile file_;
  std::map<std::string, Place> open_;  // what is still to be written
};

}  // namespace longwave::io
