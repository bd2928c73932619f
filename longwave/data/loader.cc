// SPDX-License-Identifier: Apache-2.0
#include "longwave/data/loader.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "longwave/base/error.h"
#include "longwave/base/parallel.h"
#include "longwave/base/philox.h"
#include "longwave/data/permutation.h"

namespace longwave::data {
namespace {

using Input = TaskInfo::Input;
using Target = TaskInfo::Target;

[[noreturn]] void disagrees(int64_t index, std::string what, size_t got) {
  throw DataError({.where = "example " + std::to_string(index),
                   .what = std::move(what),
                   .got = std::to_string(got),
                   .fix = {}});
}

/// Steps of an example, once its vectors are known to fit the task.
int64_t checked_length(const TaskInfo& info, const Example& example, int64_t index) {
  const auto width = static_cast<size_t>(info.input == Input::kReal ? info.input_size : 1);
  const size_t entries = info.input == Input::kReal ? example.input.size() : example.tokens.size();
  if (entries == 0 || entries % width != 0) {
    disagrees(index, "it must hold whole steps of " + std::to_string(width) + ", at least one",
              entries);
  }
  const size_t time = entries / width;
  const bool per_step =
      info.target == Target::kClassPerStep || info.target == Target::kValuePerStep;
  const bool real = info.target == Target::kValue || info.target == Target::kValuePerStep;
  const size_t wanted = (per_step ? time : 1) * static_cast<size_t>(real ? info.target_size : 1);
  const size_t got = real ? example.value.size() : example.label.size();
  if (got != wanted) {
    disagrees(index, "it must have " + std::to_string(wanted) + " targets", got);
  }
  return static_cast<int64_t>(time);
}

template <typename T>
void place(const std::vector<T>& from, std::vector<T>& to, int64_t row, int64_t row_size) {
  std::ranges::copy(from, to.begin() + row * row_size);
}

}  // namespace

Batch make_batch(const Dataset& dataset, std::span<const int64_t> indices) {
  const TaskInfo& info = dataset.info();
  const auto count = static_cast<int64_t>(indices.size());
  std::vector<Example> examples(indices.size());
  Batch batch;
  batch.batch = count;
  batch.lengths.resize(indices.size());
  // Threads are worth waking for some ten thousand numbers each, and costly on a busy machine.
  constexpr int64_t kNumbers = 65536;
  const int64_t grain = 1 + kNumbers / std::max<int64_t>(1, info.length);
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      examples[i] = dataset.example(indices[i]);
      batch.lengths[i] = checked_length(info, examples[i], indices[i]);
    }
  });
  for (int64_t length : batch.lengths) batch.time = std::max(batch.time, length);

  const bool per_step =
      info.target == Target::kClassPerStep || info.target == Target::kValuePerStep;
  const bool real = info.target == Target::kValue || info.target == Target::kValuePerStep;
  const int64_t targets = per_step ? batch.time : 1;
  const int64_t width = info.input == Input::kReal ? batch.time * info.input_size : batch.time;
  if (info.input == Input::kReal) {
    batch.input.assign(count * width, 0.0f);
  } else {
    batch.tokens.assign(count * width, 0);
  }
  if (real) {
    batch.value.assign(count * targets * info.target_size, std::numeric_limits<float>::quiet_NaN());
  } else {
    batch.label.assign(count * targets, -1);
  }
  for (int64_t i = 0; i < count; ++i) {
    const Example& example = examples[i];
    if (info.input == Input::kReal) {
      place(example.input, batch.input, i, width);
    } else {
      place(example.tokens, batch.tokens, i, width);
    }
    if (real) {
      place(example.value, batch.value, i, targets * info.target_size);
    } else {
      place(example.label, batch.label, i, targets);
    }
  }
  return batch;
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
    : dataset_(std::move(dataset)), options_(options) {
  require(options_.batch_size >= 1, "loader", "batch_size must be at least 1");
  if (dataset_->size() < 1) {
    throw DataError({.where = "loader",
                     .what = "the data set is empty",
                     .got = "0 examples",
                     .fix = "check the paths and the split sizes of its source"});
  }
  if (given() == 0) {
    throw InvalidArgument(
        {.where = "loader",
         .what = "no whole batch fits in an epoch and incomplete ones are dropped",
         .got = std::to_string(dataset_->size()) + " examples for batches of " +
                std::to_string(options_.batch_size),
         .fix = "use a smaller batch size"});
  }
}

int64_t Loader::given() const {
  const int64_t size = dataset_->size();
  return options_.last == LoaderOptions::Last::kKeep ? size : size - size % options_.batch_size;
}

int64_t Loader::batches_per_epoch() const {
  return (given() + options_.batch_size - 1) / options_.batch_size;
}

void Loader::seek(const Position& position) {
  require(position.epoch >= 0 && position.index >= 0 && position.index < given(), "loader",
          "the position must lie inside an epoch");
  position_ = position;
}

std::vector<int64_t> Loader::peek() const {
  const int64_t count = std::min(options_.batch_size, given() - position_.index);
  std::vector<int64_t> indices(static_cast<size_t>(count));
  const Permutation shuffled(dataset_->size(), options_.seed,
                             stream_id("epoch") + static_cast<uint64_t>(position_.epoch));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = position_.index + i;
    indices[i] = options_.order == LoaderOptions::Order::kShuffled ? shuffled(at) : at;
  }
  return indices;
}

Batch Loader::next() {
  const std::vector<int64_t> indices = peek();
  Batch batch = make_batch(*dataset_, indices);
  position_.index += static_cast<int64_t>(indices.size());
  if (position_.index >= given()) position_ = {position_.epoch + 1, 0};
  return batch;
}

}  // namespace longwave::data
