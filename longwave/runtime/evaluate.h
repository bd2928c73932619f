// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "longwave/data/dataset.h"
#include "longwave/models/sequence_model.h"

namespace longwave::runtime {

/// What one answer was worth: sums that add up over examples.
///
///   classes   loss = -log softmax(output)[label], averaged over labels that were asked
///   values    loss = ((output - value) / scale)^2, averaged over numbers that were asked
struct Score {
  double loss = 0;       ///< sum over what was asked
  double squares = 0;    ///< sum of squared errors in raw units
  double target = 0;     ///< sum of asked values in standardised units
  double target_sq = 0;  ///< sum of their squares
  int64_t right = 0;     ///< labels that were the most likely class
  int64_t bytes = 0;     ///< of the labels, where they are tokens of a text
  int64_t asked = 0;     ///< labels, or numbers

  Score& operator+=(const Score& other);
};

/// Judges the raw output of one example, (target_size) or (time, target_size) row after row.
Score score(const data::TaskInfo& info, const data::Example& example,
            std::span<const float> output);

/// The metrics of a task by name, loss first: "accuracy" for classes, after "bits_per_byte" if they
/// are tokens of a text (the loss in bits over the bytes asked for); for values "mse" in raw units
/// and "nmse", the mean squared error over the variance of the values asked for.
std::vector<std::pair<std::string, double>> metrics(const data::TaskInfo& info, const Score& score);

struct Evaluation {
  int64_t examples = 0;
  int64_t steps = 0;  ///< time steps that the model consumed
  double seconds = 0;
  std::vector<std::pair<std::string, double>> metrics;  ///< in a fixed order, "loss" first

  /// The metric called `name`; NaN if the task has none of that name.
  double metric(const std::string& name) const;
};

/// True if a smaller value of `metric` is better.
bool smaller_is_better(const std::string& metric);

/// The metric that decides which checkpoint of a task is the best: "accuracy", or "loss"
/// for values and text.
std::string deciding_metric(const data::TaskInfo& info);

/// Sees the raw output of example `index`; called from many threads, in no order.
using AnswerSink = std::function<void(int64_t index, std::span<const float> output)>;

/// Runs the first `limit` examples through the model by `prefill`, one example a thread at a time,
/// and shows each output to `sink` if there is one.
///
/// Numerics   sums in double, in the order of the examples: the same for any number of threads.
/// Errors     DataError if the data set is empty or does not fit the model's interface.
Evaluation evaluate(const models::SequenceModel& network, const data::Dataset& dataset,
                    int64_t limit = std::numeric_limits<int64_t>::max(),
                    const AnswerSink& sink = {});

}  // namespace longwave::runtime
