// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "longwave/base/dtype.h"
#include "longwave/base/tensor.h"
#include "longwave/io/atomic_file.h"
#include "longwave/io/safetensors.h"

namespace longwave::io {

/// A tensor that is going to be written.
struct SafetensorsItem {
  DType dtype = DType::kFloat32;
  Shape shape;
};
using SafetensorsItems = std::map<std::string, SafetensorsItem>;

/// Writes a file whose tensors come one at a time, in any order, atomically: the bytes are those of
/// `save_safetensors`.
///
/// Errors     as `save_safetensors`; InvalidArgument for a tensor that was not announced so, and if
///            one is missing at the end.
/// Threads    one owner at a time.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& path, const SafetensorsItems& items,
                    const Metadata& metadata = {});

  void write(const std::string& name, const Tensor& tensor);
  void commit();

 private:
  struct Place {
    SafetensorsItem item;
    uint64_t begin = 0;
  };
  AtomicFile file_;
  std::map<std::string, Place> open_;  // what is still to be written
};

}  // namespace longwave::io
