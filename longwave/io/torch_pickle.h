// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longwave/base/parameter.h"
#include "longwave/io/stored_numbers.h"

/// Weights as torch.save writes them: pytorch_model.bin, *.pt.
///
/// Such a file is a zip archive of a pickle, which is a program, and of the storages that it names.
/// Here the program is read by a machine that can build dictionaries of tensors and nothing else:
/// it calls nothing and refuses by its name whatever else is asked for.
namespace longwave::io {

/// How a file becomes tensors.
struct TorchPickleOptions {
  Float64 float64 = Float64::kNarrow;
  NotFinite not_finite = NotFinite::kAllow;
};

/// A tensor as the pickle describes it: a view into a storage, in elements.
struct PickledTensor {
  std::string name;
  std::string storage;    ///< the file of the archive below data/
  std::string_view type;  ///< as safetensors call it: "F32", "BF16", ...
  uint64_t element_bytes = 0;
  uint64_t storage_elements = 0;
  uint64_t offset = 0;
  Shape shape;
  std::vector<int64_t> strides;
};

/// Runs the pickle of a dictionary of tensors; every view lies in what it says of its storage.
///
/// Errors     DataError naming the function, class or instruction that is not a dictionary of
///            tensors, or what is damaged.
std::vector<PickledTensor> parse_tensor_pickle(std::span<const std::byte> pickle,
                                               std::string_view where);

/// Reads a file in memory: names and tensors of the dictionary, dense, each with its own numbers
/// even where the file lets them share. Types become ours as from safetensors.
///
/// Errors     DataError if the archive or the pickle is damaged or does anything else, if views
///            leave their storage, or for types that are not supported.
Weights parse_torch_pickle(std::span<const std::byte> file, std::string_view where,
                           const TorchPickleOptions& options = {});

/// Reads a file through a memory map; IoError if it cannot be read, else as above.
Weights load_torch_pickle(const std::filesystem::path& path,
                          const TorchPickleOptions& options = {});

}  // namespace longwave::io
