// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "longwave/base/parameter.h"
#include "longwave/base/tensor.h"

namespace longwave {

/// A tensor in memory that somebody else owns, such as a mapped file.
///
/// Threads    a plain value; what it looks at must not change.
struct StoredTensor {
  DType dtype = DType::kFloat32;
  Shape shape;
  std::span<const std::byte> bytes;  ///< as many as type and shape need
};

/// Those of a file by name.
using StoredTensors = std::map<std::string, StoredTensor>;

/// Receives the tensors of a file or model one after the other.
using TakeTensor = std::function<void(const std::string& name, Tensor tensor)>;

/// One that puts them into a storage, which must outlive it.
inline TakeTensor put_into(Weights& weights) {
  return
      [&weights](const std::string& name, Tensor tensor) { weights.put(name, std::move(tensor)); };
}

/// A tensor where it lies.
inline StoredTensor stored(const Tensor& tensor) {
  LONGWAVE_ASSERT(tensor.layout() == Layout::kRows, "panels are for running alone");
  return {tensor.dtype(), tensor.shape(), {tensor.raw(), tensor.bytes()}};
}

/// All of a storage, which must outlive the result and may not be added to.
inline StoredTensors stored(const Weights& weights) {
  StoredTensors tensors;
  for (const auto& [name, tensor] : weights.all()) tensors.emplace(name, stored(tensor));
  return tensors;
}

}  // namespace longwave
