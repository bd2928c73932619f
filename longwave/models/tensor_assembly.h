// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "longwave/base/parameter.h"
#include "longwave/base/stored_tensor.h"
#include "longwave/models/families/tensor_map.h"

/// Tensors of one form made of those of the other, piece by piece, as a TensorMap places them.
namespace longwave::models {

enum class Direction : uint8_t { kToOurs, kToTheirs };

/// Tensors that are put together of pieces, given away when they are whole.
///
/// Errors     `add`: DataError naming a tensor that is missing, of another type or shape, or whose
///            numbers have no place in the other form.
/// Threads    one owner at a time.
class TensorAssembly {
 public:
  TensorAssembly(const std::vector<Placement>& pieces, Direction direction, TakeTensor take);

  /// Copies the rows of a piece in their own type, or as float32 where `storage` is that and they
  /// are of 16 bits.
  void add(const Placement& piece, const StoredTensors& from, Storage storage);

 private:
  const std::string& target(const Placement& piece) const {
    return direction_ == Direction::kToOurs ? piece.ours : piece.theirs;
  }

  Direction direction_;
  TakeTensor take_;
  std::map<std::string, int64_t> missing_;  // pieces of each that did not come yet
  std::map<std::string, Tensor> tensors_;
};

/// Multiplies the float32 numbers of a piece in a tensor of ours by its factor, and divides them
/// again, as they are when they come back. DataError if the tensor is not of the piece's shape.
void scale_there_and_back(const Placement& piece, Tensor& ours);

}  // namespace longwave::models
