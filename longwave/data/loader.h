// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "longwave/data/dataset.h"

namespace longwave::data {

/// Examples side by side, padded at the end to the longest of them.
///
/// Padding is 0 in inputs and tokens, -1 in labels a step, NaN in values a step: not asked.
struct Batch {
  int64_t batch = 0;             ///< examples
  int64_t time = 0;              ///< steps of the longest one
  std::vector<float> input;      ///< (batch, time, input_size), or empty
  std::vector<int64_t> tokens;   ///< (batch, time), or empty
  std::vector<int64_t> lengths;  ///< (batch) steps before the padding
  std::vector<int64_t> label;    ///< (batch) or (batch, time), or empty
  std::vector<float> value;      ///< (batch, target_size) or (batch, time, target_size), or empty
};

/// The examples at `indices`, fetched on all threads.
///
/// Errors     DataError if an example disagrees with the data set's TaskInfo or is empty.
Batch make_batch(const Dataset& dataset, std::span<const int64_t> indices);

/// How a Loader goes through its data set.
struct LoaderOptions {
  enum class Order : uint8_t { kShuffled, kSequential };
  enum class Last : uint8_t { kKeep, kDrop };
  int64_t batch_size = 32;         ///< examples a batch, at least 1
  uint64_t seed = 0;               ///< decides the order of every epoch
  Order order = Order::kShuffled;  ///< shuffled anew in each epoch, or as stored
  Last last = Last::kKeep;         ///< what happens to the incomplete batch at an epoch's end
};

/// Batches of a data set, epoch after epoch without end.
///
/// The order of an epoch is a pure function of (seed, epoch), and the whole state is the position:
/// going there costs O(1) and continues with the same batches. Nothing is fetched ahead; generators
/// and decoders run on all threads while the caller waits.
///
/// Errors     DataError if the data set is empty; InvalidArgument for a bad batch size or position,
///            or if kDrop leaves no batch.
/// Threads    one owner at a time.
class Loader {
 public:
  struct Position {
    int64_t epoch = 0;
    int64_t index = 0;  ///< examples of the epoch already given
    bool operator==(const Position&) const = default;
  };

  Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options);

  const Dataset& dataset() const { return *dataset_; }

  /// Where the next batch begins. After the last batch of an epoch that is the next epoch's start.
  const Position& position() const { return position_; }
  void seek(const Position& position);

  int64_t batches_per_epoch() const;

  /// The indices of the next batch, without moving.
  std::vector<int64_t> peek() const;

  Batch next();

 private:
  /// Examples of an epoch that are given.
  int64_t given() const;

  std::shared_ptr<const Dataset> dataset_;
  LoaderOptions options_;
  Position position_;
};

}  // namespace longwave::data
